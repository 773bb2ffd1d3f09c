// Race() of waits of different types.
// expect: all tasks of Race() must have the same type
#include "weft/weft.h"

weft::Task<void> Caller(weft::Event& event, weft::Mutex& mutex) {
#ifdef MISUSE
  co_await weft::Race(event.Wait(), mutex.Lock());
#else
  const auto guard = co_await weft::Race(mutex.Lock(), mutex.Lock());
  co_await event.Wait();
#endif
}
