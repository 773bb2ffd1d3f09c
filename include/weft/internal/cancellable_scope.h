// The children that a scope knows of, and how it asks them to end: all of them, at a shutdown, or its daemons, at the
// end of a join.
//
// A child is known once it has registered, before it first waits, passes a checkpoint, or opens anything; a daemon from
// its start. Children are asked some at a time, by whoever drains the runtime's cancel queue (ShutDownSome):
//
//   asking    shutdown, request   others have ended   the last was asked
//   kNobody   -> kAll             -> kDaemons         -
//   kDaemons  -> kAll, anew       -                   -> kNobody
//   kAll      nothing *           anew                -> kNobody
//
//   * A child that calls Shutdown() is spared. A request from outside reaches that one too: asked anew. Its reason is
//     that request, or the shutdown if other children are still being asked because of that.
//
// Unless it is kNobody, the asking is counted as a child, and the scope is in the cancel queue.
#ifndef WEFT_INTERNAL_CANCELLABLE_SCOPE_H_
#define WEFT_INTERNAL_CANCELLABLE_SCOPE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>
#include <string>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/concurrency_limit.h"
#include "weft/internal/daemons.h"
#include "weft/internal/drain_nodes.h"
#include "weft/internal/opened_scope.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/scope_timer.h"
#include "weft/internal/thread_block.h"
#include "weft/scope_options.h"
#include "weft/text_view.h"

namespace weft::internal {

class ChildBase;

class CancellableScope : public OpenedScope {
 public:
  // From now on the scope starts no children. Asks those that run to end, except the caller if it is a child. Does not
  // wait, not even until all have been asked: carriers ask them in batches. Idempotent. The owner and the threads in
  // the tree below may call it. `why` is for the CancelReason of the cancelled children.
  void Shutdown(Literal why = "", std::source_location where = std::source_location::current());
  bool IsShutdown() const noexcept { return shut(); }

 protected:
  [[gnu::always_inline]] CancellableScope(const Opener& opener, const ScopeOptions& options)
      : OpenedScope(opener, kOperations, options), limit_(options.max_concurrency), timer_(options.timeout) {}
  ~CancellableScope() = default;

  // Null if it is none of these.
  static const CancellableScope* From(const ScopeRecord& scope) noexcept {
    return Has(scope, kOperations) ? static_cast<const CancellableScope*>(&scope) : nullptr;
  }

  // ---- Whoever asks the scope to end. `Locked`: under lock_.
  void RequestShutdown(const CancelCause& cause) noexcept;
  // The same, called by `spare`, if it is not null.
  void ShutLocked(const CancelCause& cause, const ThreadBlock* spare) noexcept;
  void OnTimeout() noexcept;
  // Has the scope's own timeout shut it down?
  bool TimedOut() const noexcept;
  // Why it has asked its children to end, as `asker`; it has by now. Any thread, without the lock.
  CancelCause CauseFor(Asker asker) const noexcept;
  // A request of this scope's own.
  CancelCause MakeCause(CancelReason::Kind kind, uint64_t thread) const noexcept;

  // ---- A child itself.
  void Register(ThreadBlock& child) noexcept;
  // From here on it cannot be asked to end.
  void Forget(ThreadBlock& child) noexcept;
  void ForgetLocked(ThreadBlock& child) noexcept;

  // ---- The owner.
  // A new daemon becomes known.
  void AddDaemon(ChildBase& daemon) noexcept;
  // Have all children ended, except the daemons?
  bool AllEnded() noexcept;

  // What is plain while the scope is open: no hook is called, nothing is limited or queued. relaxed: as for state_.
  static constexpr uint8_t kPlainForks = 1;  // a fork only starts the child
  static constexpr uint8_t kPlainEnds = 2;   // nothing follows from the success of a child that is no daemon
  bool IsPlain(uint8_t what) const noexcept { return (state_.load(std::memory_order_relaxed) & what) != 0; }

  // ---- Guarded by lock_.
  ConcurrencyLimit limit_;  // except its maximum
  ScopeTimer timer_;
  // As whom the scope asks its children since it is shut. From then on each of the causes is constant, and read by
  // children that were asked.
  Asker asker_ = Asker::kScope;
  union {
    CancelCause cause_;  // of the shutdown; not set before
  };
  Daemons daemons_;

 private:
  friend class OpenedScope;
  friend class ScopeTimer;
  friend std::string DescribeRecord(const Record& record);

  enum class Asking : uint8_t { kNobody, kDaemons, kAll };

  void RequestShutdownLocked(const CancelCause& cause) noexcept;
  void AskFromTheFirst(Asking whom) noexcept;

  // ---- The operations of the ScopeRecord.
  static const Operations kOperations;
  bool ShutDownSome(int max) noexcept;
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;
  void ExcludeDaemons() noexcept;
  void EndDaemons() noexcept;
  void IncludeDaemons() noexcept;

  Drain drain_;

  // ---- Guarded by lock_.
  Asking asking_ = Asking::kNobody;
  union {
    CancelCause later_cause_;  // Asker::kScopeAgain; not set before
  };
  // Asker::kJoin: when; not set before. relaxed: daemons that were asked read it, and it may be of a later join.
  Atomic<int64_t> joined_ns_;
  SiblingList children_;                 // those that are registered and have not ended
  ThreadBlock* cursor_ = nullptr;        // the next child to ask
  const ThreadBlock* spared_ = nullptr;  // the child that called Shutdown()
};

// "the scope 'name' opened at file.cc:31", or "a boundary". (opened_scope.cc)
std::string DescribeRecord(const Record& record);

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CANCELLABLE_SCOPE_H_
