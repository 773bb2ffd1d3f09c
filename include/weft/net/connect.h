// Connect: a TCP connection to a host by its name, over whichever of its addresses answers first.
//
//   absl::StatusOr<net::TcpStream> stream = co_await net::Connect("db.internal", 5432);
//   absl::StatusOr<net::TcpStream> same = co_await net::Connect("db.internal:5432");
//   absl::StatusOr<net::TcpStream> late = co_await WithTimeout(absl::Seconds(3), net::Connect("db.internal:5432"));
//
// A host may have several addresses, of IPv6 and IPv4, and some may not answer, without saying so. To try one after the
// other would take minutes. So attempts overlap (happy eyeballs, RFC 8305): the next address is tried as soon as the
// last attempt has failed, or has gone on for `attempt_delay`. The families take turns, beginning with the one that the
// system prefers. The first connection is the result; all other attempts are cancelled, and have ended and closed their
// sockets when this returns.
//
// Of the RFC, two things are left to the system: its resolver asks for the addresses of both families together, and
// puts them in order (RFC 6724). There is no time limit, besides the kernel's of about 2 minutes for an attempt.
//
// Errors: those of Resolver::Resolve(). If all attempts failed, the code and the errno of the first that did, and a
// text that has what each said (of the first 65, if they are more). kInvalidArgument for a text that is no host and
// port.
//
// Cancellation: a checkpoint; all attempts end with the caller. Nothing is left behind, except a lookup that has begun
// (resolver.h).
//
// Cost: a lookup, a scope, and a child and two events for each address; nothing of that for a host with one address.
#ifndef WEFT_NET_CONNECT_H_
#define WEFT_NET_CONNECT_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/net/resolver.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time_span.h"

namespace weft::net {

struct ConnectOptions {
  // How long an attempt has to itself before the next one begins. Zero or less: all begin at once.
  // absl::InfiniteDuration(): each begins when the one before has failed.
  TimeSpan attempt_delay = absl::Milliseconds(250);
  // Null: Resolver::Default(). Must stay until the Task has begun.
  Resolver* resolver = nullptr;
  // The address of this machine to connect from, as for TcpStream::Connect(). Addresses of another family are left out.
  std::optional<SocketAddress> from = std::nullopt;
};

// (connect.cc)

// `host` is a name or a numeric address without brackets, and is copied.
Task<absl::StatusOr<TcpStream>> Connect(TextView host, uint16_t port, ConnectOptions options = {});
// Reads "host:port" and "[::1]:port".
Task<absl::StatusOr<TcpStream>> Connect(TextView host_and_port, ConnectOptions options = {});
// To addresses that are known already: the same race, in this order except that the families take turns. kNotFound if
// there are none, or none of the family of `from`.
Task<absl::StatusOr<TcpStream>> ConnectToAny(std::vector<SocketAddress> addresses, ConnectOptions options = {});

}  // namespace weft::net

#endif  // WEFT_NET_CONNECT_H_
