// A Task whose result must not be dropped, which the compiler reports: that of StructuredTaskScope::JoinFor().
#ifndef WEFT_INTERNAL_NODISCARD_TASK_H_
#define WEFT_INTERNAL_NODISCARD_TASK_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <utility>

#include "weft/internal/promise.h"
#include "weft/task.h"

namespace weft::internal {

template <class T>
struct NodiscardTaskAwaiter {
  bool await_ready() const noexcept { return task.await_ready(); }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return task.await_suspend(awaiting);
  }
  [[nodiscard("check the result: it is empty if children have not ended")]] T await_resume() {
    return task.await_resume();
  }

  TaskAwaiter<T> task;
};

template <class T>
class [[nodiscard("co_await the Task, or Fork it: a Task that is dropped never runs")]] NodiscardTask
    : public GivesWhenAwaited<T> {
 public:
  using WeftAwaitable = void;

  explicit NodiscardTask(Task<T> task) noexcept : task_(std::move(task)) {}

  NodiscardTaskAwaiter<T> operator co_await() && noexcept { return {std::move(task_).operator co_await()}; }

 private:
  Task<T> task_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_NODISCARD_TASK_H_
