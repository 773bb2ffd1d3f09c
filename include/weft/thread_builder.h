// Threads outside of scopes: VirtualThread::Start(), VirtualThread::Builder, ThreadFactory.
//
//   weft::VirtualThread loader = weft::VirtualThread::Builder()
//       .Name("loader-", 0)                                       // loader-0, loader-1, ...
//       .OnUncaughtFailure(Log)
//       .Start(LoadIndex);                                        // a Task, or a closure that returns one
//   weft::VirtualThread::Start([] { return Heartbeat(); });       // nobody need join it
//   weft::ThreadFactory factory = weft::VirtualThread::Builder().Name("worker-", 0).Factory();
//   factory.New(Work).Start();
//   absl::Status ended = co_await loader.Join();                  // virtual_thread.h
//
// Use a scope (scope.h) where one thread starts others and waits for them: it lets none of them outlive it. A thread
// that nobody scoped is a daemon of its runtime. It may outlive whoever started it, so it must not refer to that
// thread's locals. It inherits no scoped values. When its runtime ends, it is asked to end (kRuntimeExit), and the
// runtime waits for it. One that is started while the runtime ends is asked at once, and so never runs, unless it owes
// a clean-up (finally.h).
//
// Runtime. A thread belongs to the runtime of the virtual thread that starts it, or whose Blocking() calls the function
// that does. Started by any other OS thread, it belongs to the default runtime, or to the one that its Builder was made
// with. That one must exist when the Builder, or its factory, makes a thread; a thread that was made and not started
// ends with it.
//
// Failures. A thread fails by throwing, or by returning a status that is not OK. (A cancellation is no failure.) The
// failure is delivered once: to those who join, at whatever time, or, if the last handle goes and nobody has joined, to
// the handler: the Builder's, or else RuntimeOptions::on_uncaught_failure, or else a line on standard error. If the
// thread has no handle when it ends, it calls the handler itself. Otherwise whoever drops the last handle calls it,
// perhaps an OS thread, and perhaps after the runtime has ended. A handler must not wait or throw.
//
// A closure and its captures live until the coroutine that it made is gone. The thread destroys them, and its result.
// What never runs is destroyed by whoever drops its last handle.
//
// Errors. Without memory for the thread, these throw std::bad_alloc; where exceptions are off, the program ends.
// Memory ordering: what the caller did before it starts a thread happens before what the thread does.
// Cost: one allocation, from the frame cache, beside the thread's frames.
#ifndef WEFT_THREAD_BUILDER_H_
#define WEFT_THREAD_BUILDER_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/atomic.h"
#include "weft/internal/into_task.h"
#include "weft/internal/kept_closure.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/outcome.h"
#include "weft/runtime.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/virtual_thread.h"

namespace weft {

namespace internal {

// What a Builder says of a thread.
struct ThreadSettings {
  RuntimeCore* runtime = nullptr;  // null: the caller's, or else the default one
  std::string name = {};
  std::shared_ptr<const UncaughtFailureHandler> on_uncaught_failure = nullptr;
  bool allow_thread_locals = true;
  bool inherit_thread_locals = true;
};

}  // namespace internal

class ThreadFactory;
class VirtualThreadPerTaskExecutor;

// Says how threads are to be. One thread uses it at a time; it may be copied, and used again.
class VirtualThread::Builder {
 public:
  Builder() = default;
  // For threads of `runtime`, whoever starts them.
  explicit Builder(Runtime& runtime) noexcept : settings_{.runtime = &runtime.core()} {}

  // The name of every thread that it makes; empty: none.
  Builder& Name(TextView name);
  // `prefix` with a number: `first` for the first thread, then one more each time. A negative `first` is a CHECK.
  Builder& Name(TextView prefix, int64_t first);
  // Called for a failure that no join has seen. See "Failures". Null: the runtime's handler.
  Builder& OnUncaughtFailure(UncaughtFailureHandler handler);

  // May it use thread-locals? If not, a use is a CHECK. The default: it may. (virtual_thread_local.h)
  Builder& AllowThreadLocals(bool allowed);
  // Does it inherit values from the thread that makes it? The default: it does, if it may have any.
  Builder& InheritThreadLocals(bool inherited);

  // Makes a thread, and does not start it: VirtualThread::Start() does, or nobody.
  template <class Forked>
  VirtualThread Unstarted(Forked&& forked);
  // Makes a thread and starts it.
  template <class Forked>
  VirtualThread Start(Forked&& forked);
  // Makes threads like this Builder does now. It has its own copy of the counter.
  ThreadFactory Factory() const;

 private:
  friend class weft::ThreadFactory;
  internal::ThreadSettings Next();

  internal::ThreadSettings settings_;
  int64_t next_ = -1;  // negative: the name is the same for all
};

// Makes threads that are alike. Any number of threads may use one, and its copies, at once.
class ThreadFactory {
 public:
  // Makes a thread, and does not start it. (Java's newThread().)
  template <class Forked>
  VirtualThread New(Forked&& forked) const;
  // Makes a thread and starts it.
  template <class Forked>
  VirtualThread Start(Forked&& forked) const;

 private:
  friend class VirtualThread::Builder;
  friend class VirtualThreadPerTaskExecutor;
  struct Pattern {
    explicit Pattern(const VirtualThread::Builder& builder) : like(builder), next(builder.next_) {}
    const VirtualThread::Builder like;
    internal::Atomic<int64_t> next;  // relaxed: a number
  };
  explicit ThreadFactory(const VirtualThread::Builder& like) : pattern_(std::make_shared<Pattern>(like)) {}
  internal::ThreadSettings Next() const;
  const internal::ThreadSettings& settings() const noexcept { return pattern_->like.settings_; }

  std::shared_ptr<Pattern> pattern_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// The control block of a thread outside of scopes, which is its own identity. References: one for each handle, and from
// its start to its end one for the run.
class UnscopedThread : public RootBlock, public ThreadIdentity {
 public:
  // Called once by whoever has made it; returns the first handle.
  VirtualThread Unstarted() noexcept;
  VirtualThread StartNow() noexcept;
  // Of a thread that is to be started later. A CHECK if it was.
  static void StartLater(ThreadIdentity& made);

  // Of a thread that has ended.
  absl::Status Outcome() override;

 protected:
  explicit UnscopedThread(ThreadSettings&& settings);
  ~UnscopedThread() override { ForgetIdentity(); }

 private:
  void OnEnd(Ending ending) noexcept override;
  void Unreferenced() noexcept override;
  bool failed() const noexcept { return ending_ == Ending::kFailed; }
  void TellHandler() noexcept;
  void DropUnstarted() noexcept;

  virtual Failure MakeFailure() const = 0;
  virtual void DropResult() noexcept = 0;
  virtual void DropClosure() noexcept {}

  std::shared_ptr<const UncaughtFailureHandler> handler_;  // null: the runtime's
  const uint32_t forks_;  // ForksSoFar() when it was made (lib/thread/runtime_services.h)
  Ending ending_ = Ending::kCancelled;
  Atomic<bool> told_{false};  // the failure was delivered. relaxed: the references order it
};

// ... that runs a Task<T>.
template <class T>
class UnscopedTask : public UnscopedThread {
 public:
  UnscopedTask(ThreadSettings&& settings, Task<T>&& task) : UnscopedTask(std::move(settings)) {
    this->leaf = &TaskAccess::ReleaseAsRoot(std::move(task), slot_, this, "Start()");
  }

 protected:
  explicit UnscopedTask(ThreadSettings&& settings) : UnscopedThread(std::move(settings)) {}

  ResultSlot<T> slot_;

 private:
  Failure MakeFailure() const final {
    Failure failure{.thread = ThreadBlock::id};
    if (slot_.has_exception()) {
      failure.exception = slot_.exception();
      failure.status = ExceptionToStatus(failure.exception);
    } else if constexpr (std::is_same_v<T, absl::Status>) {
      failure.status = slot_.value();
    } else if constexpr (IsStatusLike<T>) {
      failure.status = slot_.value().status();
    }
    return failure;
  }
  void DropResult() noexcept final { slot_.Reset(); }
};

// ... that calls a closure and runs the Task it returns.
template <class F, class T>
class UnscopedClosure final : public UnscopedTask<T> {
 public:
  template <class G>
  UnscopedClosure(ThreadSettings&& settings, G&& closure)
      : UnscopedTask<T>(std::move(settings)), closure_(std::in_place, std::forward<G>(closure)) {}

 private:
  PromiseBase* Begin() noexcept override {
    return closure_.Run(this->slot_, [this](F& closure) {
      return &TaskAccess::ReleaseAsRoot(AsTask(closure()), this->slot_, this, "Start()");
    });
  }
  void DropClosure() noexcept override { closure_.Drop(); }

  KeptClosure<F> closure_;
};

template <class Forked>
UnscopedThread& MakeUnscoped(ThreadSettings&& settings, Forked&& forked) {
  if constexpr (WeftAwaitable<Forked>) {
    using T = ValueOf<Forked>;
    return *new UnscopedTask<T>(std::move(settings), AsTask(std::forward<Forked>(forked)));
  } else {
    using F = std::decay_t<Forked>;
    return *new UnscopedClosure<F, ValueOfCall<F&>>(std::move(settings), std::forward<Forked>(forked));
  }
}

template <class Forked>
VirtualThread MakeUnstarted(ThreadSettings&& settings, Forked&& forked) {
  static_assert(TaskOrClosure<Forked>, "a thread is started with a Task, moved, or with a closure without parameters "
                                       "that returns one");
  if constexpr (TaskOrClosure<Forked>) {
    return MakeUnscoped(std::move(settings), std::forward<Forked>(forked)).Unstarted();
  }
}

template <class Forked>
VirtualThread MakeStarted(ThreadSettings&& settings, Forked&& forked) {
  static_assert(TaskOrClosure<Forked>, "a thread is started with a Task, moved, or with a closure without parameters "
                                       "that returns one");
  if constexpr (TaskOrClosure<Forked>) {
    return MakeUnscoped(std::move(settings), std::forward<Forked>(forked)).StartNow();
  }
}

}  // namespace internal

template <class Forked>
auto VirtualThread::Start(Forked&& forked) {
  return internal::MakeStarted({}, std::forward<Forked>(forked));
}

template <class Forked>
VirtualThread VirtualThread::Builder::Unstarted(Forked&& forked) {
  return internal::MakeUnstarted(Next(), std::forward<Forked>(forked));
}
template <class Forked>
VirtualThread VirtualThread::Builder::Start(Forked&& forked) {
  return internal::MakeStarted(Next(), std::forward<Forked>(forked));
}

template <class Forked>
VirtualThread ThreadFactory::New(Forked&& forked) const {
  return internal::MakeUnstarted(Next(), std::forward<Forked>(forked));
}
template <class Forked>
VirtualThread ThreadFactory::Start(Forked&& forked) const {
  return internal::MakeStarted(Next(), std::forward<Forked>(forked));
}

}  // namespace weft

#endif  // WEFT_THREAD_BUILDER_H_
