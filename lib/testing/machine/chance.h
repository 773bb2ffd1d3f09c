// Layer testing. What does the machine decide by chance?
//
// One sequence of numbers, from the machine's seed: how long something is under way, how much of a transfer is done,
// and whether a call fails. Whatever happens in the machine asks here, in the order in which it happens, so the same
// seed gives the same machine.
#ifndef WEFT_LIB_TESTING_MACHINE_CHANCE_H_
#define WEFT_LIB_TESTING_MACHINE_CHANCE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weft::internal::machine {

class Chance {
 public:
  struct Options {
    uint64_t seed = 1;
    int64_t min_delay_ns = 0;
    int64_t max_delay_ns = 0;
    double short_transfers = 0;  // 0 to 1
    double faults = 0;           // 0 to 1
    double lost_datagrams = 0;   // 0 to 1
  };

  explicit Chance(const Options& options) noexcept : options_(options), state_(options.seed) {}

  // SplitMix64 (Steele, Lea and Flood, 2014).
  uint64_t Next() noexcept {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // One of 0 to count - 1.
  uint64_t Below(uint64_t count) noexcept { return Next() % count; }
  bool Hits(double share) noexcept {
    return share > 0 && static_cast<double>(Next() >> 11) < share * static_cast<double>(uint64_t{1} << 53);
  }

  // How long something is under way, or a disk takes.
  int64_t Delay() noexcept {
    const auto range = static_cast<uint64_t>(options_.max_delay_ns - options_.min_delay_ns) + 1;
    return options_.min_delay_ns + static_cast<int64_t>(Below(range));
  }
  // How many of `bytes`, which could be moved, are moved: 1 at least if there are any.
  size_t Part(size_t bytes) noexcept {
    return bytes > 1 && Hits(options_.short_transfers) ? 1 + static_cast<size_t>(Below(bytes - 1)) : bytes;
  }
  // The errno with which a call fails, one of `errors`; 0: it does not.
  int Fault(std::span<const int> errors) noexcept {
    return !errors.empty() && Hits(options_.faults) ? errors[static_cast<size_t>(Below(errors.size()))] : 0;
  }
  bool LosesDatagram() noexcept { return Hits(options_.lost_datagrams); }

 private:
  const Options options_;
  uint64_t state_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_CHANCE_H_
