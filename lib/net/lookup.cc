#include "lib/net/lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/net/socket_address.h"

namespace weft::internal {
namespace {

struct Meaning {
  int error;
  absl::string_view name;
  absl::StatusCode code;
};

constexpr Meaning kMeanings[] = {
    {EAI_NONAME, "EAI_NONAME", absl::StatusCode::kNotFound},
    {EAI_NODATA, "EAI_NODATA", absl::StatusCode::kNotFound},
    {EAI_ADDRFAMILY, "EAI_ADDRFAMILY", absl::StatusCode::kNotFound},
    {EAI_AGAIN, "EAI_AGAIN", absl::StatusCode::kUnavailable},
    {EAI_FAIL, "EAI_FAIL", absl::StatusCode::kInternal},
    {EAI_MEMORY, "EAI_MEMORY", absl::StatusCode::kResourceExhausted},
    {EAI_OVERFLOW, "EAI_OVERFLOW", absl::StatusCode::kInvalidArgument},
    {EAI_IDN_ENCODE, "EAI_IDN_ENCODE", absl::StatusCode::kInvalidArgument},
};

absl::Status StatusOf(const Found& found, const std::string& host) {
  const std::string what = absl::StrCat("lookup of \"", host, "\"");
  if (found.error == EAI_SYSTEM) return ErrnoToStatus(found.system_error, what);
  Meaning meaning = {found.error, "EAI", absl::StatusCode::kUnknown};
  for (const Meaning& each : kMeanings) {
    if (each.error == found.error) meaning = each;
  }
  return absl::Status(meaning.code, absl::StrCat(what, ": ", ::gai_strerror(found.error), " (", meaning.name, ")"));
}

}  // namespace

Found LookUp(const std::string& host, uint16_t port, int family, int flags) noexcept {
  std::array<char, 8> service = {};
  std::to_chars(service.data(), service.data() + service.size() - 1, port);
  addrinfo hints = {};
  hints.ai_flags = flags | AI_NUMERICSERV;
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;  // otherwise each address comes once for every type of socket
  addrinfo* list = nullptr;
  Found found;
  found.error = Sys().getaddrinfo(host.c_str(), service.data(), &hints, &list);
  found.system_error = errno;
  if (found.error == 0) found.list.reset(list);
  return found;
}

absl::StatusOr<std::vector<net::SocketAddress>> AddressesOf(const Found& found, const std::string& host) {
  if (found.error != 0) return StatusOf(found, host);
  std::vector<net::SocketAddress> addresses;
  for (const addrinfo* each = found.list.get(); each != nullptr; each = each->ai_next) {
    absl::StatusOr<net::SocketAddress> address = net::SocketAddress::From(each->ai_addr, each->ai_addrlen);
    if (address.ok()) addresses.push_back(*address);  // others are of families that nobody asked for
  }
  if (addresses.empty()) return absl::NotFoundError(absl::StrCat("lookup of \"", host, "\" found no address"));
  return addresses;
}

}  // namespace weft::internal
