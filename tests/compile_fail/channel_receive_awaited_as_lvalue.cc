// A Receive() that has a name, awaited without std::move(): a second await would yield the same value again.
// expect: this is awaited once: co_await a temporary, or std::move() it
#include <utility>

#include "weft/channel/channel.h"
#include "weft/task.h"

weft::Task<void> Caller(weft::Channel<int>& channel) {
  auto receive = channel.Receive();
#ifdef MISUSE
  co_await receive;
#else
  co_await std::move(receive);
#endif
}
