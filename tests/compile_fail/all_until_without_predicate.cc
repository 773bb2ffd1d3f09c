// AllUntil<T> without its predicate.
// expect: what its policy is made from is missing
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::AllUntil<int> scope;
#else
  weft::AllUntil<int> scope([](const weft::Subtask<int>& subtask) { return *subtask > 3; });
#endif
  co_await scope.Close();
}
