// Layer tls. A certificate as text.
#ifndef WEFT_LIB_TLS_CERTIFICATE_H_
#define WEFT_LIB_TLS_CERTIFICATE_H_

#include "lib/tls/openssl.h"
#include "weft/tls/stream.h"

namespace weft::internal {

tls::Certificate Describe(X509* certificate);

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_CERTIFICATE_H_
