// The failures of a scope's children, of which the first few are kept for its outcome. Guarded by the scope's lock,
// except where a function says otherwise.
#ifndef WEFT_INTERNAL_FAILURES_H_
#define WEFT_INTERNAL_FAILURES_H_

#include "weft/internal/compiler.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/thread_block.h"
#include "weft/outcome.h"

namespace weft::internal {

class ChildBase;

class Failures {
 public:
  static constexpr size_t kMostKept = 1 + Outcome::kMaxSuppressed;
  static_assert(kMostKept <= 64);

  Failures() = default;
  Failures(const Failures&) = delete;
  Failures& operator=(const Failures&) = delete;
  ~Failures() {
    if (!none()) [[unlikely]]
      ReleaseKept();
  }

  // Counts a failure. True: the child is kept, with a reference of its own.
  bool Add(ChildBase& child) noexcept;
  // The same for a fork for which there was no memory.
  void AddUnallocated() noexcept;

  // Any thread, without the lock: exact after a join.
  bool none() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }

  // The first failures, in the order in which they came. The children live as long as the scope.
  struct Found {
    std::array<const ChildBase*, kMostKept> first;  // null: there was no memory for the child
    size_t size = 0;
    uint64_t count = 0;
  };
  Found Find() noexcept;

 private:
  void ReleaseKept() noexcept;
  uint64_t Count() noexcept;

  ThreadQueue kept_;
  Atomic<uint64_t> count_{0};  // relaxed: written under the lock; a join has ended what it counts
  uint64_t unallocated_ = 0;  // a bit for each of the first: there was no memory for it
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_FAILURES_H_
