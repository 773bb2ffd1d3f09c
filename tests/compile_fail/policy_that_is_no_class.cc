// A scope of what is no class.
// expect: 'std::is_class_v<int>' evaluated to false
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::StructuredTaskScope<int> scope;
#else
  weft::AsCompleted<int> scope;
#endif
  co_await scope.Close();
}
