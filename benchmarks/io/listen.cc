#include "benchmarks/io/listen.h"

#include <cstdio>

namespace weft::benchmarks {

absl::StatusOr<net::TcpListener> ListenAndSay() {
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) return listener.status();
  const absl::StatusOr<net::SocketAddress> address = listener->local_address();
  if (!address.ok()) return address.status();
  std::printf("listening on %s\n", address->ToString().c_str());
  std::fflush(stdout);
  return listener;
}

}  // namespace weft::benchmarks
