// Who decides where any choice of the scheduler would be correct: which carrier to steal from, which one to wake, which
// one goes next in a simulation? In production a xorshift generator for each carrier; in a test, a seed.
#ifndef WEFT_LIB_RUNTIME_CHOOSER_H_
#define WEFT_LIB_RUNTIME_CHOOSER_H_

#include <cstdint>

namespace weft::internal {

class Chooser {
 public:
  // One of 0 .. count-1; count > 0.
  virtual uint32_t Choose(uint32_t count) noexcept = 0;

 protected:
  ~Chooser() = default;
};

// Marsaglia's xorshift64*: fast, small, and good enough to spread thieves. Not thread-safe.
class XorShiftChooser final : public Chooser {
 public:
  explicit XorShiftChooser(uint64_t seed) noexcept : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t Choose(uint32_t count) noexcept override {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    const uint64_t high = (state_ * 0x2545F4914F6CDD1Du) >> 32;
    return static_cast<uint32_t>((high * count) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CHOOSER_H_
