// Who refers to a future: handles, which read its outcome, and keepers, which do not. (lib/executor/future_references.h
// has the steps and their proof.)
#ifndef WEFT_EXECUTOR_FUTURE_REFERENCES_H_
#define WEFT_EXECUTOR_FUTURE_REFERENCES_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class FutureReferences {
 public:
  static constexpr uint64_t kHandle = 1;
  static constexpr uint64_t kKeeper = uint64_t{1} << 32;

  // So many of both.
  explicit FutureReferences(uint64_t references) noexcept : word_(references) {}
  FutureReferences(const FutureReferences&) = delete;
  FutureReferences& operator=(const FutureReferences&) = delete;

  void AddHandle() noexcept { word_.fetch_add(kHandle, std::memory_order_relaxed); }  // relaxed: the caller has one
  void AddKeeper() noexcept { word_.fetch_add(kKeeper, std::memory_order_relaxed); }  // relaxed: the caller has one
  uint64_t handles() const noexcept {
    // [future/2] acquire: pairs with [future/4]. Those whose handles are gone are done with the outcome.
    return word_.load(WEFT_ORDER("future/2", std::memory_order_acquire)) % kKeeper;
  }

  enum class Dropped : uint8_t {
    kOthersHaveHandles,
    kLastHandle,  // the caller is a keeper now
    kLast,        // the caller destroys the future
  };
  [[nodiscard]] inline Dropped DropHandle() noexcept;
  // True: it was the last of all, and the caller destroys the future.
  [[nodiscard]] inline bool DropKeeper() noexcept;

 private:
  Atomic<uint64_t> word_;
};

}  // namespace weft::internal

#endif  // WEFT_EXECUTOR_FUTURE_REFERENCES_H_
