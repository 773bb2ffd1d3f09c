// An Accept() that nobody awaits.
// expect: co_await the Task, or Fork it
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(weft::net::TcpListener listener) {
#ifdef MISUSE
  listener.Accept();
#endif
  co_return (co_await listener.Accept()).status();
}
