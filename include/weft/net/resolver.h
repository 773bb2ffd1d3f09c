// Resolver: finds the addresses of a host by its name, without holding a carrier.
//
//   absl::StatusOr<std::vector<net::SocketAddress>> found =
//       co_await net::Resolver::Default().Resolve("db.internal", 5432);
//
// It asks getaddrinfo(3), and so whatever the machine is set up to ask: /etc/hosts, DNS, mDNS, LDAP. The call runs on
// an OS thread that may block (blocking.h). The addresses come in the order in which they should be tried (RFC 6724).
// Nothing is cached here; that is the system's task. net::Connect() resolves and connects (connect.h).
//
// A numeric host ("127.0.0.1", "::1", "fe80::1%eth0") is not looked up, and waits for nobody.
//
// The limit. `max_concurrent` lookups run at a time; further ones queue, first come, first served. So a name server
// that does not answer takes that many OS threads of the pool, and no more.
//
// Cancellation: Resolve() is a checkpoint. A lookup that has not begun is withdrawn. One that has begun cannot be
// ended, and may take as long as the system's timeouts, 5 s and more (resolv.conf(5)); the caller does not wait for it.
// It keeps its place among the `max_concurrent`, and its result is dropped. One exception: while the runtime ends, a
// clean-up that looks a name up waits until the lookup is over.
//
// Lifetime: the resolver may be destroyed while lookups go on. Each belongs to the runtime of its caller, whose end
// waits for lookups that have begun. Any virtual thread may call Resolve(), also at the same time as others.
//
// Errors: kNotFound if the host does not exist, or has no address of the family; kUnavailable if no server answered
// (EAI_AGAIN), perhaps only now; kInvalidArgument for what is no host name; kResourceExhausted without memory or an OS
// thread; kInternal for a failure of the name service that will last (EAI_FAIL). A text says which name, and why.
//
// Cost: a virtual thread, and the two wake-ups of a Blocking(), beside the lookup itself.
//
// Rejected: c-ares, which needs no OS thread, but does not ask what the machine is set up to ask; to await a cancelled
// lookup, which would make a timeout of 100 ms one of many seconds.
#ifndef WEFT_NET_RESOLVER_H_
#define WEFT_NET_RESOLVER_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

struct ResolverOptions {
  // Lookups that run at a time; at least 1.
  int max_concurrent = 16;
};

// (resolver.cc)
class Resolver {
 public:
  enum class Family : uint8_t { kAny, kIpv4, kIpv6 };

  explicit Resolver(ResolverOptions options = {});
  Resolver(Resolver&&) noexcept = default;
  Resolver& operator=(Resolver&&) noexcept = default;

  // The one that net::Connect() uses unless told otherwise; of the whole process.
  static Resolver& Default();

  // The addresses of `host`, with `port`; at least one. `host` is a name or a numeric address without brackets, and is
  // copied.
  Task<absl::StatusOr<std::vector<SocketAddress>>> Resolve(TextView host, uint16_t port, Family family = Family::kAny);

 private:
  struct State;
  struct Lookup;

  std::shared_ptr<State> state_;
};

}  // namespace weft::net

#endif  // WEFT_NET_RESOLVER_H_
