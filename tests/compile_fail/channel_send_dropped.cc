// A send that nobody awaits.
// expect: co_await the send
#include "weft/channel/channel.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Channel<int>& channel) {
#ifdef MISUSE
  channel.Send(1);
#endif
  co_await channel.Send(1);
}
