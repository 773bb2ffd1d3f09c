// What every StructuredTaskScope has in common, whatever its policy: forks and joins.
//
// A scope is one object of several classes, each of which derives from the one before:
//
//   ScopeRecord        what it is to those below it                     scope_record.h
//   OpenedScope        which it is, its state, who may do what          opened_scope.h
//   CancellableScope   the children it knows, and how they are asked    cancellable_scope.h
//   PolicyScope        what follows from the end of a child             policy_scope.h
//   ScopeBase          forks                                            here
//
// Features have classes of their own, which are members: ConcurrencyLimit, Daemons, ScopeTimer, Failures, PolicyTurns,
// CompletionQueue.
#ifndef WEFT_INTERNAL_SCOPE_BASE_H_
#define WEFT_INTERNAL_SCOPE_BASE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <new>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/internal/child.h"
#include "weft/internal/completion_queue.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/into_task.h"
#include "weft/internal/policy_scope.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"
#include "weft/scope_options.h"
#include "weft/subtask.h"

namespace weft::internal {

class ScopeBase : public PolicyScope {
 public:
  // Its children are found through the frame it lies in. (The compiler shows these lines to callers who break them.)
  ScopeBase(const ScopeBase&) = delete;  // a scope is neither copied nor moved
  ScopeBase& operator=(const ScopeBase&) = delete;
  static void* operator new(size_t) = delete;    // a scope is a local variable of the coroutine that opens it
  static void* operator new[](size_t) = delete;  // a scope is a local variable of the coroutine that opens it
  template <class... Where>
  static void* operator new(size_t, Where...) = delete;  // a scope is a local variable of the coroutine that opens it

  // Starts `task` as a virtual thread of its own, a child of this scope, and returns at once. Any carrier may run the
  // child. A closure is called by the child, which keeps it until it has ended: so captures by value are safe. After a
  // shutdown of the scope, it starts only what has promised a clean-up (finally.h), and the subtask stays kUnavailable.
  // Without memory for the child, it starts nothing, and the subtask has failed (kResourceExhausted, std::bad_alloc);
  // the policy sees that like any failure. The owner and every virtual thread in the tree below the scope may call it.
  // Any other caller is a CHECK, and so is a fork under other scoped-value bindings than those at the scope's opening
  // (JEP 453, JEP 446). What happened before Fork() happens before the child.
  template <TaskOrClosure A>
  Subtask<FlatValue<ValueOf<A>>> Fork(A&& task, ForkOptions options = {}) {
    if constexpr (ClosureOfTask<A>) {
      return Adopt<ClosureChild<std::decay_t<A>, ValueOf<A>>>(options, std::forward<A>(task));
    } else {
      return Adopt<TaskChild<ValueOf<A>>>(options, AsTask(std::forward<A>(task)));
    }
  }

  // Starts a daemon: a child that serves the other children, like a ticker or a watchdog. A join waits until the others
  // have ended, then cancels the daemons (kOthersEnded) and waits for them. A daemon's failure counts for the scope,
  // like that of any child. A policy for subtasks of any type, like Supervisor's, sees the failure; no policy sees a
  // daemon's value. A daemon does not count against max_concurrency. Only the owner may call it. The rest is like
  // Fork().
  template <TaskOrClosure A>
  Subtask<FlatValue<ValueOf<A>>> ForkDaemon(A&& task, ForkOptions options = {}) {
    if constexpr (ClosureOfTask<A>) {
      return AdoptChecked<ClosureChild<std::decay_t<A>, ValueOf<A>>>(kDaemon, options, std::forward<A>(task));
    } else {
      return AdoptChecked<TaskChild<ValueOf<A>>>(kDaemon, options, AsTask(std::forward<A>(task)));
    }
  }

 protected:
  // `policy` is for the hooks; `completions`, or null, gets the subtasks that complete. Both outlive the scope.
  ScopeBase(const PolicyHooks& hooks, void* policy, CompletionQueue* completions, const ScopeOptions& options);
  // Ends what still runs and waits for it, holding the carrier, which meanwhile runs the scope's own descendants and
  // nothing else.
  ~ScopeBase();

  // For policies and NextCompleted(): one more handle.
  template <class Handle>
  static Handle HandleTo(ChildBase& child) noexcept {
    child.AddRef();
    return AdoptHandle<Handle>(child);
  }
  static ChildBase& ChildOf(const AnySubtask& handle) noexcept { return handle.child(); }
  // Takes over one reference.
  template <class Handle>
  static Handle AdoptHandle(ChildBase& child) noexcept { return Handle(&child); }

 private:
  friend class ChildBase;
  friend class ScopeWait;

  enum Kind : bool { kPlain, kDaemon };

  // The usual case: no name, and there is a free block. AdoptChecked() does the same for all cases; it is a function of
  // its own so that this one saves few registers.
  template <class C, class Source>
  [[gnu::always_inline]] Subtask<typename C::Value> Adopt(const ForkOptions& options, Source&& source) {
    if constexpr (alignof(C) <= kFrameGranuleBytes) {
      if (options.name.empty()) [[likely]] {
        if (void* const memory = TakeOwnFree(sizeof(C)); memory != nullptr) [[likely]] {
          Subtask<typename C::Value> subtask(MakeChild<C>(memory, /*name=*/nullptr, std::forward<Source>(source)));
          StartChild(subtask.child());
          return subtask;
        }
      }
    }
    return AdoptChecked<C>(kPlain, options, std::forward<Source>(source));
  }
  template <class C, class Source>
  [[gnu::noinline]] Subtask<typename C::Value> AdoptChecked(Kind kind, const ForkOptions& options, Source&& source) {
    // The name is made before the child, so that nothing is lost.
    ThreadIdentity* name = nullptr;
    void* const memory = AllocateChild(sizeof(C), alignof(C), options.name, name);
    if (memory == nullptr) [[unlikely]]
      return AdoptHandle<Subtask<typename C::Value>>(FailFork(kind == kDaemon));
    Subtask<typename C::Value> subtask(MakeChild<C>(memory, name, std::forward<Source>(source)));
    StartChildChecked(subtask.child(), name, kind == kDaemon);
    return subtask;
  }
  // Null: there was no memory.
  static void* AllocateChild(size_t size, size_t alignment, std::string_view name, ThreadIdentity*& named) noexcept;
  // One reference is the caller's, the other the run's.
  template <class C, class Source>
  static C* MakeChild(void* memory, ThreadIdentity* name, Source&& source) {
    if constexpr (std::is_nothrow_constructible_v<C, Source&&>) {
      static_cast<void>(name);
      return ::new (memory) C(std::forward<Source>(source));
    } else {
      struct Unmake {
        ~Unmake() {
          if (block == nullptr) return;
          FreeFrame(block, sizeof(C), alignof(C));
          if (identity != nullptr) identity->Release();
        }
        void* block;
        ThreadIdentity* identity;
      };
      Unmake unmake(memory, name);
      C* const child = ::new (memory) C(std::forward<Source>(source));
      unmake.block = nullptr;
      return child;
    }
  }
  [[noreturn, gnu::cold, gnu::noinline]] void DieOfLimit() const;
  [[gnu::cold, gnu::noinline]] void ShutFromTheStart() noexcept;
  [[gnu::noinline]] void StartTimeout(absl::Duration timeout) noexcept;

  void StartChild(ChildBase& child);
  void StartChildChecked(ChildBase& child, ThreadIdentity* name, bool daemon);
  static void HandDown(const ThreadBlock& self, ChildBase& child);
  void PlaceChild(ChildBase& child, uint64_t round, uint64_t id) noexcept;
  void CancelUnstarted(ChildBase& child, ThreadBlock& self) noexcept;
  void StartDaemon(ChildBase& child) noexcept;
  void StartWithinLimit(ChildBase& child) noexcept;
  void BeginClose(std::source_location where);
};

// The owner waits until all children have ended.
class ScopeWait {
 public:
  using WeftAwaitable = void;

  ScopeWait(ScopeWait&&) = default;  // before it is awaited

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame,
                                        std::source_location where = std::source_location::current()) noexcept {
    return AwaitChildren(scope_, {frame.promise(), where});
  }

 protected:
  enum class Purpose : uint8_t { kJoin, kClose };
  explicit ScopeWait(ScopeBase& scope) : scope_(scope), purpose_(Purpose::kJoin) { scope.CheckJoin("Join()"); }
  ScopeWait(ScopeBase& scope, std::source_location closed_at) : scope_(scope), purpose_(Purpose::kClose) {
    scope.BeginClose(closed_at);
  }
  void Finish() noexcept { purpose_ == Purpose::kJoin ? scope_.EndJoin() : scope_.EndClose(); }

 private:
  ScopeBase& scope_;
  const Purpose purpose_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SCOPE_BASE_H_
