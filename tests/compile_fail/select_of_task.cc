// A Task in a select: it cannot be withdrawn.
// expect: a wait that can be withdrawn: select.h lists them
#include "weft/channel/select.h"
#include "weft/weft.h"

weft::Task<void> Ask();

weft::Task<void> Caller(weft::Event& stop) {
#ifdef MISUSE
  co_await weft::Select(stop.Wait(), Ask());
#else
  co_await weft::Race(stop.Wait(), Ask());
#endif
}
