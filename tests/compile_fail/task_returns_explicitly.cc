// co_return of what becomes the Task's value only by an explicit conversion.
// expect: no matching member function for call to 'return_value'
#include <vector>

#include "weft/weft.h"

weft::Task<std::vector<int>> Numbers() {
#ifdef MISUSE
  co_return 3;
#else
  co_return std::vector<int>(3);
#endif
}
