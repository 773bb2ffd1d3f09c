#include "tests/tls/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>
#include <string>

#include "weft/internal/check.h"

namespace weft::testing {

struct Authority::Key {
  explicit Key(EVP_PKEY* made) : key(made) {}
  ~Key() { EVP_PKEY_free(key); }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  EVP_PKEY* const key;
};

namespace {

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string contents(data, static_cast<size_t>(size));
  BIO_free(bio);
  return contents;
}

std::string ToPem(X509* certificate) {
  BIO* const bio = BIO_new(BIO_s_mem());
  WEFT_CHECK(PEM_write_bio_X509(bio, certificate) == 1);
  return Contents(bio);
}

std::string ToPem(EVP_PKEY* key) {
  BIO* const bio = BIO_new(BIO_s_mem());
  WEFT_CHECK(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Contents(bio);
}

X509_NAME* SetName(X509_NAME* name, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.c_str()),
                             -1, -1, 0);
  return name;
}

void Extend(X509* certificate, int kind, const std::string& value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
  WEFT_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// Of `key`, signed with `signing_key`.
std::string Sign(const Subject& subject, EVP_PKEY* key, const std::string& issuer, EVP_PKEY* signing_key,
                 bool authority) {
  static std::atomic<long> serial = 1;
  constexpr long kHour = 3600;
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial.fetch_add(1));
  ASN1_TIME_set(X509_getm_notBefore(certificate), kSimulationsBegin_s - kHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate), kHour);
  if (subject.until_s != 0) ASN1_TIME_set(X509_getm_notAfter(certificate), subject.until_s);
  X509_set_pubkey(certificate, key);
  SetName(X509_get_subject_name(certificate), subject.name);
  SetName(X509_get_issuer_name(certificate), issuer);
  if (authority) Extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
  if (!subject.names.empty()) Extend(certificate, NID_subject_alt_name, subject.names);
  WEFT_CHECK(X509_sign(certificate, signing_key, EVP_sha256()) != 0);
  std::string pem = ToPem(certificate);
  X509_free(certificate);
  return pem;
}

}  // namespace

Authority::Authority(const std::string& name, int64_t until_s)
    : key_(std::make_unique<Key>(EVP_EC_gen("P-256"))), name_(name) {
  certificate_ = Sign({.name = name, .names = {}, .until_s = until_s}, key_->key, name, key_->key, /*authority=*/true);
}

Authority::~Authority() = default;

Issued Authority::Issue(const Subject& subject) const {
  const Key key(EVP_EC_gen("P-256"));
  return {.certificate = Sign(subject, key.key, name_, key_->key, /*authority=*/false), .key = ToPem(key.key)};
}

const Authority& Trusted() {
  static const Authority* const trusted = new Authority("Weft's tests");
  return *trusted;
}

const Issued& ForDbInternal() {
  static const Issued* const issued =
      new Issued(Trusted().Issue({.name = "the server", .names = "DNS:db.internal,IP:127.0.0.1,URI:spiffe://weft/db"}));
  return *issued;
}

}  // namespace weft::testing
