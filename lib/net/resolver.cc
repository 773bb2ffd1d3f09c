#include "weft/net/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/net/lookup.h"
#include "lib/os/global_lock.h"
#include "lib/thread/runtime_services.h"
#include "weft/blocking.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/net/socket_address.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/thread_builder.h"
#include "weft/virtual_thread.h"

namespace weft::net {
namespace {

using internal::Found;
using Addresses = std::vector<SocketAddress>;

int FamilyNumber(Resolver::Family family) {
  switch (family) {
    case Resolver::Family::kAny:
      return AF_UNSPEC;
    case Resolver::Family::kIpv4:
      return AF_INET;
    case Resolver::Family::kIpv6:
      return AF_INET6;
  }
  __builtin_unreachable();
}

// In the frame of whoever waits for a lookup: one that nobody waits for any more, and that has not begun, does not
// begin.
class Abandon {
 public:
  explicit Abandon(VirtualThread lookup) noexcept : lookup_(std::move(lookup)) {}
  Abandon(const Abandon&) = delete;
  Abandon& operator=(const Abandon&) = delete;
  ~Abandon() { lookup_.RequestCancel("nobody waits for this lookup any more"); }

 private:
  const VirtualThread lookup_;
};

}  // namespace

// Outlives the resolver, as long as lookups go on.
struct Resolver::State {
  explicit State(int max_concurrent) : places(max_concurrent) {}
  Semaphore places;
};

// A lookup under way, in the frame of a virtual thread of its own: that can wait for a call that its caller has left.
struct Resolver::Lookup {
  static Task<void> Run(Lookup lookup) {
    lookup.found.Set(co_await Blocking([&lookup] {
      return internal::LookUp(lookup.host, lookup.port, lookup.family, /*flags=*/0);
    }));
  }
  static Task<absl::StatusOr<Addresses>> Await(std::shared_ptr<State> state, std::string host, uint16_t port,
                                               int family) {
    co_await internal::CheckpointAwaiter();
    if (host.empty() || host.find('\0') != std::string::npos) {
      co_return absl::InvalidArgumentError(absl::StrCat("\"", host, "\" is no host name"));
    }
    const Found numeric = internal::LookUp(host, port, family, AI_NUMERICHOST);
    if (numeric.error != EAI_NONAME) co_return internal::AddressesOf(numeric, host);
    Permit place = co_await state->places.Acquire();
    Promise<Found> promise;
    Future<Found> future = promise.future();
    const Abandon abandon(VirtualThread::Start(
        Run({.state = state, .place = std::move(place), .found = std::move(promise), .host = host, .port = port,
             .family = family})));
    absl::StatusOr<Found> found = co_await std::move(future).TryGet();
    if (absl::IsAborted(found.status())) {
      // The runtime ends, and has ended that thread. This one is shielded, or is cancelled here.
      const Permit again = co_await state->places.Acquire();
      found = co_await Blocking([&] { return internal::LookUp(host, port, family, /*flags=*/0); });
    }
    if (!found.ok()) co_return found.status();
    co_return internal::AddressesOf(*found, host);
  }

  std::shared_ptr<State> state;  // before what refers to it
  Permit place;
  Promise<Found> found;
  std::string host;
  uint16_t port;
  int family;
};

Resolver::Resolver(ResolverOptions options) {
  WEFT_CHECK(options.max_concurrent >= 1) << "ResolverOptions::max_concurrent is " << options.max_concurrent;
  state_ = std::make_shared<State>(options.max_concurrent);
}

namespace {

struct DefaultResolver {
  internal::GlobalLock lock;
  Resolver* resolver = nullptr;  // guarded by lock
  uint32_t forks = 0;            // before it was made; guarded by lock
};
constinit DefaultResolver default_resolver;

}  // namespace

// Never destroyed: threads may use it until the process ends. A child of fork(2) makes its own: the places of the
// parent's are held by threads that are not there.
Resolver& Resolver::Default() {
  std::lock_guard guard(default_resolver.lock);
  if (default_resolver.resolver == nullptr || default_resolver.forks != internal::ForksSoFar()) {
    default_resolver.resolver = new Resolver;
    default_resolver.forks = internal::ForksSoFar();
  }
  return *default_resolver.resolver;
}

Task<absl::StatusOr<Addresses>> Resolver::Resolve(TextView host, uint16_t port, Family family) {
  WEFT_CHECK(state_ != nullptr) << "Resolve() of a Resolver that was moved from";
  return Lookup::Await(state_, std::string(host.data(), host.size()), port, FamilyNumber(family));
}

}  // namespace weft::net
