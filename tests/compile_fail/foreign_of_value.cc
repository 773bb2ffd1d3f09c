// Foreign() of what cannot be awaited.
// expect: what is awaited: it has an operator co_await, or is an awaiter
#include <coroutine>

#include "weft/weft.h"

#ifdef MISUSE
int Read();
#else
std::suspend_never Read();
#endif

weft::Task<void> Caller() { co_await weft::Foreign(Read()); }
