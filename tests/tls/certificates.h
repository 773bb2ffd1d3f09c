// Certificates for tests, made as they are needed: EC keys of P-256, an authority, and what it issues.
#ifndef WEFT_TESTS_TLS_CERTIFICATES_H_
#define WEFT_TESTS_TLS_CERTIFICATES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "weft/tls/context.h"

namespace weft::testing {

// In PEM format.
struct Issued {
  std::string certificate;
  std::string key;

  tls::Pem certificate_pem() const { return tls::Pem::Text(certificate); }
  tls::Pem key_pem() const { return tls::Pem::Text(key); }
};

// The time at which simulations begin: 2020-01-01 UTC. Certificates are valid since an hour before it.
inline constexpr int64_t kSimulationsBegin_s = 1'577'836'800;

struct Subject {
  std::string name;   // the CN
  std::string names;  // "DNS:db.internal,IP:127.0.0.1"; empty: none
  int64_t until_s = 0;      // since 1970: valid until then; 0: for another hour
};

class Authority {
 public:
  explicit Authority(const std::string& name, int64_t until_s = 0);  // as of a Subject
  ~Authority();

  Issued Issue(const Subject& subject) const;
  const std::string& certificate() const { return certificate_; }
  tls::Pem pem() const { return tls::Pem::Text(certificate_); }

 private:
  struct Key;
  std::unique_ptr<Key> key_;
  std::string name_;
  std::string certificate_;
};

// The one that the tests' clients trust, and a certificate of it for db.internal and 127.0.0.1.
const Authority& Trusted();
const Issued& ForDbInternal();

}  // namespace weft::testing

#endif  // WEFT_TESTS_TLS_CERTIFICATES_H_
