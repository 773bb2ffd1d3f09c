// A value that was never received: nobody awaits the receive.
// expect: co_await it: nothing was waited for
#include <optional>

#include "weft/channel/channel.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Channel<int>& channel) {
#ifdef MISUSE
  std::optional<int> value = channel.Receive();
  co_return;
#else
  [[maybe_unused]] std::optional<int> value = co_await channel.Receive();
#endif
}
