// AsForeign() of a Task that keeps its name.
// expect: a Task is awaited once: weft::AsForeign(std::move(task))
#include <coroutine>
#include <utility>

#include "weft/weft.h"

struct Other {
  struct promise_type {
    Other get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

Other Caller(weft::Task<void> task) {
#ifdef MISUSE
  co_await weft::AsForeign(task);
#else
  co_await weft::AsForeign(std::move(task));
#endif
}
