// How many children a scope still has. Who counts where, and who goes on when there are none: lib/thread/join_count.h.
#ifndef WEFT_INTERNAL_JOIN_COUNT_H_
#define WEFT_INTERNAL_JOIN_COUNT_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class JoinCount {
 public:
  explicit JoinCount(int32_t children = 0) noexcept : local_(children) {}

  // ---- The holder's.
  inline void AddLocal() noexcept;
  inline void EndLocal() noexcept;
  inline int64_t local() const noexcept;
  inline bool MayHaveLocal() const noexcept;
  inline bool Drained() noexcept;
  inline int64_t Left() const noexcept;
  [[nodiscard]] inline bool Wait() noexcept;
  [[nodiscard]] inline bool Block() noexcept;
  inline bool BlockedDrained() const noexcept;
  inline void Unblock() noexcept;

  // ---- Anybody else's.
  inline void Add() noexcept;
  inline void Add(int64_t count) noexcept;
  enum class [[nodiscard]] Last : uint8_t { kNo, kResume, kRing };
  inline Last End() noexcept;
  [[nodiscard]] inline bool Withdraw() noexcept;

 private:
  static constexpr int64_t kWaiting = int64_t{1} << 40;
  static constexpr int64_t kBlocked = int64_t{1} << 41;

  inline bool Merge(int64_t flag) noexcept;
  inline int64_t AddAndConclude(int64_t added, std::memory_order order) noexcept;

  Plain<int64_t> local_;
  // relaxed: for additions by a thread that knows that the scope stays, and for first looks of a compare-exchange.
  Atomic<int64_t> shared_{0};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_JOIN_COUNT_H_
