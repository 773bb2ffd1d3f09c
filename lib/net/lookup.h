// Layer net. How is getaddrinfo(3) asked, and what do its errors mean?
#ifndef WEFT_LIB_NET_LOOKUP_H_
#define WEFT_LIB_NET_LOOKUP_H_

#include <netdb.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

// What a call has found, or why it has found nothing. Moved from thread to thread without an allocation.
struct Found {
  struct Free {
    void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
  };

  int error = 0;         // EAI_..., or 0
  int system_error = 0;  // the errno of EAI_SYSTEM
  std::unique_ptr<addrinfo, Free> list;
};

// Calls getaddrinfo(). `flags` are for addrinfo::ai_flags; without AI_NUMERICHOST it may block for long. `family` is
// AF_UNSPEC, AF_INET or AF_INET6.
Found LookUp(const std::string& host, uint16_t port, int family, int flags) noexcept;

// The addresses, or a status that says what has become of the lookup of `host`.
absl::StatusOr<std::vector<net::SocketAddress>> AddressesOf(const Found& found, const std::string& host);

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_LOOKUP_H_
