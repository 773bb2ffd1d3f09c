// Shield() of a const wait.
// expect: the awaitable is consumed, so it must not be const
#include <utility>

#include "weft/weft.h"

weft::Task<void> Caller(weft::Event& event) {
#ifdef MISUSE
  const auto wait = event.Wait();
#else
  auto wait = event.Wait();
#endif
  co_await weft::Shield(std::move(wait));
}
