// A WithStopEvent() that nobody awaits.
// expect: co_await it
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller(weft::Event& event) {
#ifdef MISUSE
  weft::WithStopEvent(event, Work());
  co_return absl::OkStatus();
#else
  co_return co_await weft::WithStopEvent(event, Work());
#endif
}
