// A Supervisor with a report of statuses.
// expect: the report takes a const AnySubtask&
#include "absl/status/status.h"
#include "weft/weft.h"

void Log(const absl::Status& status);

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Supervisor scope([](const absl::Status& failed) { Log(failed); });
#else
  weft::Supervisor scope([](const weft::AnySubtask& failed) { Log(failed.status()); });
#endif
  co_await scope.Close();
}
