// All() of closures: it takes Tasks.
// expect: pass a Task, or something that a Task can await
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
#ifdef MISUSE
  auto [a, b] = co_await weft::All([] { return Count(); }, [] { return Count(); });
#else
  auto [a, b] = co_await weft::All(Count(), Count());
#endif
  co_return a + b;
}
