// The source in place of its token.
// expect: no matching function for call to 'WithStopToken'
#include <stop_token>

#include "absl/status/status.h"
#include "weft/stop_token.h"
#include "weft/weft.h"

weft::Task<void> Serve();

weft::Task<absl::Status> Caller(std::stop_source source) {
#ifdef MISUSE
  co_return co_await weft::WithStopToken(source, Serve());
#else
  co_return co_await weft::WithStopToken(source.get_token(), Serve());
#endif
}
