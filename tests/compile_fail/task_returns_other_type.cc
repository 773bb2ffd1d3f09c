// co_return of what does not become the Task's value.
// expect: no matching member function for call to 'return_value'
#include "weft/weft.h"

weft::Task<int> Count() {
#ifdef MISUSE
  co_return "three";
#else
  co_return 3;
#endif
}
