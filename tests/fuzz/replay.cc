// Stands in for libFuzzer where a program is built without it: calls the fuzzed function with each file that is named,
// and with each beginning of it. With --whole, not with the beginnings: for functions that take long.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "tests/fuzz/fuzz.h"

namespace {

// In memory of its own size, where a sanitizer sees a read past the end.
void Call(const std::string& bytes, size_t size) {
  const auto copy = std::make_unique<uint8_t[]>(size);
  for (size_t i = 0; i < size; ++i) copy[i] = static_cast<uint8_t>(bytes[i]);
  LLVMFuzzerTestOneInput(copy.get(), size);
}

}  // namespace

int main(int argc, char** argv) {
  const bool whole = argc > 1 && std::string_view(argv[1]) == "--whole";
  const int first = whole ? 2 : 1;
  if (argc <= first) {
    std::fprintf(stderr, "usage: %s [--whole] INPUT...\n", argv[0]);
    return 2;
  }
  for (int i = first; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (size_t size = whole ? bytes.size() : 0; size <= bytes.size(); ++size) Call(bytes, size);
  }
  std::printf("%d inputs%s\n", argc - first, whole ? "" : ", and all their beginnings");
  return 0;
}
