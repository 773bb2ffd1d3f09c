// An AsForeign() that is not awaited.
// expect: co_await it
#include <coroutine>

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

Other Caller() {
#ifdef MISUSE
  weft::AsForeign(weft::Yield());
#else
  co_await weft::AsForeign(weft::Yield());
#endif
  co_return;
}
