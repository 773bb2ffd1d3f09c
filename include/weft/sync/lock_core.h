// What all locks are made of: a LockState of virtual threads, the awaiter of whoever wants permits, and the guard of
// whoever has them all.
#ifndef WEFT_SYNC_LOCK_CORE_H_
#define WEFT_SYNC_LOCK_CORE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {

using LockWait = LockWaitOf<ThreadBlock>;
struct AwaitedLock;

// A debug build of a user's source notes where locks are locked, and in which order. So it finds a thread that waits
// for itself, and threads that can wait for each other.
#ifdef NDEBUG
inline constexpr bool kNotesSites = false;
#else
inline constexpr bool kNotesSites = true;
#endif

class LockCore : public LockState<ThreadBlock> {
 public:
  LockCore(LockKind kind, int64_t permits);
  LockCore(const LockCore&) = delete;
  LockCore& operator=(const LockCore&) = delete;
  ~LockCore();  // a CHECK if it is held, or if a thread waits

  // Of the current thread, or an OS thread.
  bool Take(int64_t permits) noexcept;
  static bool Suspend(AwaitedLock& wait, AwaitingFrame frame) noexcept;  // for await_suspend
  void Block(int64_t permits, std::source_location where) noexcept;  // an OS thread; on a carrier a CHECK
  int64_t QueueLength() noexcept;
  // The same as Block(), with what a debug build notes.
  void BlockAt(int64_t permits, std::source_location where) noexcept {
    if constexpr (kNotesSites) NoteOrder(where);
    Block(permits, where);
    if constexpr (kNotesSites) NoteSite(where);
  }

  // ---- A debug build's, by the thread that takes the lock.
  // kAgain: it has the lock, and gives it back while it waits for a condition.
  enum class Taking : uint8_t { kNew, kAgain };
  // It is about to wait for the lock here.
  void NoteOrder(std::source_location where, Taking taking = Taking::kNew) noexcept;
  // It has got the lock here; or it has it again, as before.
  void NoteSite(std::source_location where) noexcept;
  void NoteAgain() noexcept;

  static SelectPart PartOf(LockWait& wait) noexcept;
  static const SelectableWait<ThreadBlock> kSelect;
};

// The wait of an awaiter.
struct AwaitedLock : LockWait {
  AwaitedLock(LockCore& of, int64_t wanted) noexcept : LockWait{&of, wanted} {}
  union {
    std::source_location where;  // if the thread lets others run first; not set before
  };
};

template <class Guard>
class [[nodiscard("co_await the lock, or the permit")]] LockAwaiter : public GivesWhenAwaited<Guard> {
 public:
  using WeftAwaitable = void;
  using YieldsAGuard = void;
  LockAwaiter(LockCore& lock, int64_t permits) noexcept : wait_(lock, permits) {}
  bool await_ready(std::source_location where = std::source_location::current()) const noexcept {
    const bool may_go_on = AtCheckpoint();
    if constexpr (kNotesSites) core().NoteOrder(where);
    return may_go_on && core().Take(wait_.permits);
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return LockCore::Suspend(wait_, {frame.promise(), where});
  }
  Guard await_resume(std::source_location where = std::source_location::current()) const noexcept {
    if constexpr (kNotesSites) core().NoteSite(where);
    return Guard(core(), wait_.permits);
  }
  SelectPart ForSelect() noexcept { return LockCore::PartOf(wait_); }

 private:
  LockCore& core() const noexcept { return static_cast<LockCore&>(*wait_.lock); }
  AwaitedLock wait_;
};

// The guard of whoever alone has a lock: what a MutexGuard, a RecursiveMutexGuard and a WriterGuard are.
class ExclusiveHold {
 public:
  ExclusiveHold(ExclusiveHold&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {
    if (lock_ != nullptr) lock_->passed_on.store(true, std::memory_order_relaxed);
  }
  // Takes over the other guard's lock, and unlocks its own.
  ExclusiveHold& operator=(ExclusiveHold&& other) noexcept {
    ExclusiveHold taken(std::move(other));
    std::swap(lock_, taken.lock_);
    return *this;
  }
  ~ExclusiveHold() { Unlock(); }

  // Any thread may call it. Idempotent.
  void Unlock() noexcept;

 protected:
  explicit ExclusiveHold(LockCore& lock) noexcept : lock_(&lock) {}
  friend class ConditionCore;
  LockCore* lock_;
};

// Some permits of several.
class CountedHold {
 public:
  CountedHold(CountedHold&& other) noexcept
      : lock_(std::exchange(other.lock_, nullptr)), permits_(other.permits_), receipt_(other.receipt_) {}
  // Takes over the other's permits, and releases its own.
  CountedHold& operator=(CountedHold&& other) noexcept {
    CountedHold taken(std::move(other));
    std::swap(lock_, taken.lock_);
    std::swap(permits_, taken.permits_);
    std::swap(receipt_, taken.receipt_);
    return *this;
  }
  ~CountedHold() { Release(); }

  // Any thread may call it. Idempotent.
  void Release() noexcept;

 protected:
  CountedHold(LockCore& lock, int64_t permits) noexcept;
  LockCore* lock_;
  int64_t permits_;
  PermitReceipt receipt_;
};

}  // namespace weft::internal

#endif  // WEFT_SYNC_LOCK_CORE_H_
