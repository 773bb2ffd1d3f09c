// A value, returned from a Task<void>.
// expect: no member named 'return_value' in
#include "weft/weft.h"

weft::Task<void> Work() {
  co_await weft::Yield();
#ifdef MISUSE
  co_return 1;
#endif
}
