// An exchange that nobody awaits.
// expect: co_await the exchange
#include "weft/sync/exchanger.h"
#include "weft/weft.h"

weft::Task<int> Caller(weft::Exchanger<int>& exchanger) {
#ifdef MISUSE
  exchanger.Exchange(1);
#endif
  co_return co_await exchanger.Exchange(1);
}
