// AsForeign() of a temporary that is gone when it is awaited.
// expect: temporary whose address is used as value of local variable 'operation' will be destroyed
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

Other Caller() {
#ifdef MISUSE
  auto operation = weft::AsForeign(weft::Yield());
  co_await std::move(operation);
#else
  co_await weft::AsForeign(weft::Yield());
#endif
}
