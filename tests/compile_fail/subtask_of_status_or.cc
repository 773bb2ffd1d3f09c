// A Subtask of a StatusOr, where the scope has taken the status for itself.
// expect: no viable conversion from
#include "absl/status/statusor.h"
#include "weft/weft.h"

weft::Task<absl::StatusOr<int>> Ask();

weft::Task<int> Caller() {
  weft::ShutdownOnFailure scope;
#ifdef MISUSE
  weft::Subtask<absl::StatusOr<int>> answer = scope.Fork(Ask());
#else
  weft::Subtask<int> answer = scope.Fork(Ask());
#endif
  (co_await scope.Join()).ThrowIfFailed();
  co_return *answer;
}
