// AsForeign() of what is not Weft's.
// expect: only for Weft's awaitables: co_await any other directly
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
  co_await weft::AsForeign(std::suspend_never());
#else
  co_await std::suspend_never();
#endif
}
