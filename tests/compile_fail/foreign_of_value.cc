// Foreign() of what cannot be awaited.
// expect: pass an awaitable: an awaiter, or something with an operator co_await
#include <coroutine>

#include "weft/weft.h"

#ifdef MISUSE
int Read();
#else
std::suspend_never Read();
#endif

weft::Task<void> Caller() { co_await weft::Foreign(Read()); }
