// A select that nobody awaits.
// expect: co_await the select
#include "weft/channel/select.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Event& one, weft::Event& other) {
#ifdef MISUSE
  weft::Select(one.Wait(), other.Wait());
#endif
  co_await weft::Select(one.Wait(), other.Wait());
}
