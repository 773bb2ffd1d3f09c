// Layer tls. What a Context is.
#ifndef WEFT_LIB_TLS_CONTEXT_STATE_H_
#define WEFT_LIB_TLS_CONTEXT_STATE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/tls/openssl.h"
#include "lib/tls/session_cache.h"
#include "weft/tls/context.h"

namespace weft::internal {

// Constant once it is made, but for the sessions, which have a lock. (context.cc)
struct TlsContext {
  TlsContext(bool server, bool verify, bool tolerate_truncation, size_t max_session_hosts)
      : server(server), verify(verify), tolerate_truncation(tolerate_truncation), sessions(max_session_hosts) {}

  absl::Status Begin(tls::Version min_version, tls::Version max_version);
  absl::Status TakeIdentity(const tls::Pem& certificate, const tls::Pem& key);
  absl::Status TakeAuthorities(const tls::Pem& authorities);
  absl::Status TakeProtocols(const std::vector<std::string>& protocols);

  // The certificate, key and protocols for a host name; null: those of this one.
  SSL_CTX* Named(const char* host) const;

  const bool server;
  const bool verify;
  const bool tolerate_truncation;
  SslContextPtr ssl;
  std::string protocols;                                   // as they are sent: each after a byte that tells its length
  std::vector<std::pair<std::string, tls::Context>> names;  // a server's
  mutable SessionCache sessions;                           // a client's
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_CONTEXT_STATE_H_
