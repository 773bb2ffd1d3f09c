// A fuzzed function takes any bytes, and CHECKs what has to hold of them. libFuzzer calls it under --config=fuzz, by
// tools/fuzz; otherwise replay.cc does, with the inputs of corpus/.
#ifndef WEFT_TESTS_FUZZ_FUZZ_H_
#define WEFT_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// libFuzzer's name for it. Returns 0. (One for each program.)
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace weft::testing {

// An input, taken from its front: numbers first, then text.
class FuzzInput {
 public:
  explicit FuzzInput(std::string_view bytes) noexcept : rest_(bytes) {}

  // 0 at the end.
  uint8_t TakeByte() noexcept {
    if (rest_.empty()) return 0;
    const char byte = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<uint8_t>(byte);
  }
  bool empty() const noexcept { return rest_.empty(); }
  std::string_view Take(size_t count) noexcept {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const noexcept { return rest_; }

 private:
  std::string_view rest_;
};

// Sizes of pieces, over and over, each at least 1.
class FuzzPieces {
 public:
  explicit FuzzPieces(std::string_view sizes) noexcept : sizes_(sizes) {}
  size_t Next() noexcept {
    if (sizes_.empty()) return static_cast<size_t>(-1);
    return 1 + static_cast<uint8_t>(sizes_[at_++ % sizes_.size()]) % 32;
  }

 private:
  std::string_view sizes_;
  size_t at_ = 0;
};

// Prints what an input says, which text() returns, if WEFT_FUZZ_PRINT is set. Called before anything is done with it.
template <class Text>
void PrintFuzzed(const Text& text) {
  static const bool prints = std::getenv("WEFT_FUZZ_PRINT") != nullptr;
  if (prints) std::fprintf(stderr, "%s\n", std::string(text()).c_str());
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_FUZZ_FUZZ_H_
