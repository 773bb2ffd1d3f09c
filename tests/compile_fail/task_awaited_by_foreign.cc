// A Task awaited by another library's coroutine.
// expect: only a weft::Task can await this
#include <coroutine>

#include "weft/weft.h"

struct Foreign {
  struct promise_type {
    Foreign get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

weft::Task<void> Work();

#ifdef MISUSE
Foreign Caller() { co_await Work(); }
#else
weft::Task<void> Caller() { co_await Work(); }
#endif
