// Layer tls. Until when can a session be resumed?
//
// OpenSSL verifies nothing on a resumption, and with TLS 1.3 each one yields new tickets: without a limit they would
// outlive the certificates (RFC 8446, 4.6.1). So a session carries the time of its full handshake, and until when what
// was verified then is valid. Both sides keep that in the session's application data, which OpenSSL copies into the
// sessions that come of it, and a server's into the tickets.
#ifndef WEFT_LIB_TLS_RESUMPTION_H_
#define WEFT_LIB_TLS_RESUMPTION_H_

#include <openssl/ssl.h>

#include <cstdint>

namespace weft::internal {

// The longest life of a ticket (RFC 8446, 4.6.1); as in Go's crypto/tls, for all that come of one full handshake.
inline constexpr int64_t kLongestResumptionSeconds = int64_t{7} * 24 * 3600;

// The time as of which certificates are looked at, in seconds since 1970: by the runtime's wall clock, which is virtual
// in a simulation; where there is no runtime, by the system's.
int64_t TlsNowSeconds() noexcept;

// After a full handshake: its session can be resumed until one of the certificates that were verified expires, but for
// a week at most. After a resumption it does nothing: the limit of that handshake holds.
void LimitResumption(SSL* ssl) noexcept;

// Now.
bool MayBeResumed(SSL_SESSION* session) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_RESUMPTION_H_
