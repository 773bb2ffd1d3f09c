// Every decision of the scheduler that correctness does not depend on is asked here: which victim, which carrier to
// wake, which carrier goes next in a simulation. Production decides by xorshift, one per carrier; a test decides by
// seed.
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
