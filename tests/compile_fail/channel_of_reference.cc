// A Channel of references.
// expect: the T of Channel<T> is an object that can be moved
#include "weft/channel/channel.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Task<void> Caller(weft::Channel<int&>& channel) { co_await channel.Receive(); }
#else
weft::Task<void> Caller(weft::Channel<int*>& channel) { co_await channel.Receive(); }
#endif
