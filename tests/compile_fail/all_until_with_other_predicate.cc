// AllUntil<T> with a predicate of values.
// expect: the predicate takes a const Subtask<T>& and returns a bool
#include <string>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::AllUntil<std::string> scope([](const std::string& value) { return value.empty(); });
#else
  weft::AllUntil<std::string> scope([](const weft::Subtask<std::string>& subtask) { return subtask->empty(); });
#endif
  co_await scope.Close();
}
