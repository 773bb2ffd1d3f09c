// Stands in for libFuzzer where a program is built without it: calls the fuzzed function with each file that is named,
// and with each beginning of it.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

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
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s INPUT...\n", argv[0]);
    return 2;
  }
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (size_t size = 0; size <= bytes.size(); ++size) Call(bytes, size);
  }
  std::printf("%d inputs, and all their beginnings\n", argc - 1);
  return 0;
}
