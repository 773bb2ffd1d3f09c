// A copy of a connection.
// expect: call to implicitly-deleted copy constructor of 'weft::net::TcpStream'
#include <utility>

#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<absl::Status> Serve(weft::net::TcpStream stream);

weft::Task<absl::Status> Caller(weft::net::TcpStream stream) {
#ifdef MISUSE
  co_return co_await Serve(stream);
#else
  co_return co_await Serve(std::move(stream));
#endif
}
