// Race() of what is another library's.
// expect: pass a Task, or something that a Task can await
#include <coroutine>

#include "weft/weft.h"

struct Foreign {
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const noexcept {}
};

weft::Task<void> Caller(weft::Event& event) {
#ifdef MISUSE
  co_await weft::Race(Foreign(), event.Wait());
#else
  co_await weft::Race(weft::Foreign(Foreign()), event.Wait());
#endif
}
