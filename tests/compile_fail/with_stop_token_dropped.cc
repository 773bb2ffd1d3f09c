// A task under a stop token that is not awaited.
// expect: co_await it
#include <stop_token>

#include "absl/status/status.h"
#include "weft/stop_token.h"
#include "weft/weft.h"

weft::Task<void> Serve();

weft::Task<absl::Status> Caller(std::stop_token token) {
#ifdef MISUSE
  weft::WithStopToken(token, Serve());
  co_return absl::OkStatus();
#else
  co_return co_await weft::WithStopToken(token, Serve());
#endif
}
