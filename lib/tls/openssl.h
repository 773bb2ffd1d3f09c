// Layer tls. Owners of OpenSSL's objects, where it reads and writes, and its errors as statuses.
//
// OpenSSL keeps errors in a queue of the OS thread. A coroutine may go on on another one, and other code leaves its own
// errors there. So whoever makes a call of OpenSSL calls Clear() before, and takes the errors after, in one
// function that does not suspend.
#ifndef WEFT_LIB_TLS_OPENSSL_H_
#define WEFT_LIB_TLS_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace weft::internal {

template <auto free>
struct FreeBy {
  template <class T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};

using BioPtr = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeBy<X509_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, FreeBy<SSL_free>>;

class ByteQueue;

// A BIO that reads from a queue, or writes into it. The queue outlives it. Null: no memory.
BioPtr BioOf(ByteQueue& queue) noexcept;

// Of the queue of the calling OS thread. (openssl.cc)
struct OpenSslErrors {
  static void Clear() noexcept;
  // What there is, in the order in which it came about; the queue is empty afterwards.
  static OpenSslErrors Take();

  // Is the first one a failed system call, or lack of memory?
  bool OfSystem() const noexcept;
  // "<what>: <text>". The code is `otherwise`, except that of a failed system call and of lack of memory.
  absl::Status ToStatus(absl::StatusCode otherwise, absl::string_view what) const;

  unsigned long first = 0;         // what came first, for ERR_GET_LIB() and ERR_GET_REASON(); 0 if there is none
  unsigned long first_of_tls = 0;  // same, of those of libssl: behind the errors of what libssl has called
  std::string text;                // the reasons: "key values mismatch"
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_OPENSSL_H_
