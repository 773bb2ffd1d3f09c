#include "lib/tls/resumption.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/os/clock.h"
#include "lib/tls/certificate.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// When a session can be resumed.
struct Period {
  int64_t begin_s;  // of the full handshake
  int64_t end_s;    // no longer then
};

}  // namespace

int64_t TlsNowSeconds() noexcept {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  return (CurrentThread() == nullptr ? Clock::Real().WallNanos() : RuntimeWallNow()) / kNanosPerSecond;
}

void LimitResumption(SSL* ssl) noexcept {
  if (SSL_session_reused(ssl) == 1) return;
  const int64_t now_s = TlsNowSeconds();
  Period period = {.begin_s = now_s, .end_s = now_s + kLongestResumptionSeconds};
  if ((SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0) {
    const STACK_OF(X509)* const chain = SSL_get0_verified_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      period.end_s = std::min(period.end_s, UnixSeconds(X509_get0_notAfter(sk_X509_value(chain, i))));
    }
  }
  // Without memory the session has none, and is not resumed.
  SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), &period, sizeof(period));
}

bool MayBeResumed(SSL_SESSION* session) noexcept {
  void* data = nullptr;
  size_t size = 0;
  Period period;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof(period)) return false;
  std::memcpy(&period, data, sizeof(period));
  const int64_t now_s = TlsNowSeconds();
  // Before it began: the clock was set back, perhaps to when the certificates were not valid yet.
  return period.begin_s <= now_s && now_s < period.end_s;
}

}  // namespace weft::internal
