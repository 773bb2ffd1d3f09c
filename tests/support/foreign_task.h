// Another library, as small as it can be: coroutines that know nothing of virtual threads, something that they wait
// for, and an OS thread that resumes them.
//
//   other::task<int> Read(other::thread& reader) {
//     co_await reader.schedule();    // the rest runs on that thread
//     co_return 42;
//   }
#ifndef WEFT_TESTS_SUPPORT_FOREIGN_TASK_H_
#define WEFT_TESTS_SUPPORT_FOREIGN_TASK_H_

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "weft/internal/compiler.h"

namespace other {

// What the promises of tasks have in common: who awaits the task is resumed by symmetric transfer.
class promise_base {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  auto final_suspend() const noexcept {
    struct awaiter {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept { return next; }
      void await_resume() const noexcept {}
      std::coroutine_handle<> next;
    };
    return awaiter{continuation};
  }
  void unhandled_exception() noexcept {
#if WEFT_EXCEPTIONS
    exception = std::current_exception();
#else
    std::terminate();
#endif
  }
  void rethrow() const {
#if WEFT_EXCEPTIONS
    if (exception != nullptr) std::rethrow_exception(exception);
#endif
  }

  std::coroutine_handle<> continuation = std::noop_coroutine();

 private:
  std::exception_ptr exception;
};

template <class T>
struct result_holder : promise_base {
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    rethrow();
    return *std::move(value);
  }
  std::optional<T> value;
};
template <class T>
struct result_holder<T&> : promise_base {
  void return_value(T& result) noexcept { value = &result; }
  T& take() {
    rethrow();
    return *value;
  }
  T* value = nullptr;
};
template <>
struct result_holder<void> : promise_base {
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

// Lazy, owned by whoever has it, awaited once.
template <class T = void>
class [[nodiscard]] task {
 public:
  struct promise_type : result_holder<T> {
    task get_return_object() { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
  };

  task(task&& from) noexcept : frame_(std::exchange(from.frame_, {})) {}
  task& operator=(task&&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    frame_.promise().continuation = awaiting;
    return frame_;
  }
  T await_resume() { return frame_.promise().take(); }

  // For what runs a task without awaiting it.
  std::coroutine_handle<> handle() const noexcept { return frame_; }

 private:
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

// One coroutine waits until somebody posts, once, on any thread; it goes on in post().
class baton {
 public:
  baton() = default;
  baton(const baton&) = delete;

  void post() {
    void* const waiter = state_.exchange(this, std::memory_order_acq_rel);
    if (waiter != nullptr) std::coroutine_handle<>::from_address(waiter).resume();
  }
  bool await_ready() const noexcept { return state_.load(std::memory_order_acquire) == this; }
  bool await_suspend(std::coroutine_handle<> awaiting) noexcept {
    void* expected = nullptr;
    return state_.compare_exchange_strong(expected, awaiting.address(), std::memory_order_acq_rel);
  }
  void await_resume() const noexcept {}

 private:
  std::atomic<void*> state_{nullptr};  // null; whoever waits; or this, if it was posted
};

// An OS thread that resumes what is scheduled on it, in that order.
class thread {
 public:
  thread() : runner_([this] { run(); }) {}
  thread(const thread&) = delete;
  ~thread() {
    {
      std::lock_guard guard(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    runner_.join();
  }

  auto schedule() noexcept {
    struct awaiter {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> awaiting) { on.push(awaiting); }
      void await_resume() const noexcept {}
      thread& on;
    };
    return awaiter{*this};
  }
  std::thread::id id() const noexcept { return runner_.get_id(); }

 private:
  void push(std::coroutine_handle<> awaiting) {
    // Notified under the lock: what is resumed may end the last of this thread's users.
    std::lock_guard guard(mutex_);
    queue_.push_back(awaiting);
    changed_.notify_one();
  }
  void run() {
    std::unique_lock guard(mutex_);
    for (;;) {
      changed_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::coroutine_handle<> next = queue_.front();
      queue_.pop_front();
      guard.unlock();
      next.resume();
      guard.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::coroutine_handle<>> queue_;
  bool stopping_ = false;
  std::thread runner_;
};

}  // namespace other

#endif  // WEFT_TESTS_SUPPORT_FOREIGN_TASK_H_
