// Fork() of a Task of another type than the scope's values.
// expect: every subtask of this scope yields the Value of its policy
#include <vector>

#include "absl/status/statusor.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Task<void> Ask();
#else
weft::Task<absl::StatusOr<int>> Ask();
#endif

weft::Task<absl::StatusOr<std::vector<int>>> Caller() {
  weft::AllSuccessful<int> scope;
  scope.Fork(Ask());
  co_return co_await scope.Join();
}
