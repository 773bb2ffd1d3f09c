// A Sleep() that has a name, awaited without std::move().
// expect: this is awaited once: co_await a temporary, or std::move() it
#include <utility>

#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
  auto nap = weft::Sleep(absl::Seconds(1));
#ifdef MISUSE
  co_await nap;
#else
  co_await std::move(nap);
#endif
}
