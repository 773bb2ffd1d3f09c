// Layer tls. What a certificate says.
#ifndef WEFT_LIB_TLS_CERTIFICATE_H_
#define WEFT_LIB_TLS_CERTIFICATE_H_

#include <openssl/asn1.h>

#include <cstdint>

#include "lib/tls/openssl.h"
#include "weft/tls/stream.h"

namespace weft::internal {

tls::Certificate Describe(X509* certificate);

// Seconds since 1970; 0 if it is malformed, which that of a verified certificate is not.
int64_t UnixSeconds(const ASN1_TIME* time) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_CERTIFICATE_H_
