// A send that outlives its value.
// expect: temporary
#include <string>
#include <utility>

#include "weft/channel/channel.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Channel<std::string>& channel) {
#ifdef MISUSE
  auto send = channel.Send(std::string("a"));
#else
  std::string value("a");
  auto send = channel.Send(std::move(value));
#endif
  co_await std::move(send);
}
