#include "lib/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/tls/openssl.h"
#include "weft/tls/stream.h"

namespace weft::internal {
namespace {

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, FreeBy<GENERAL_NAMES_free>>;

std::string Text(const X509_NAME* name) {
  const BioPtr into(BIO_new(BIO_s_mem()));
  // As RFC 2253 has it, but with UTF-8 as it is.
  constexpr unsigned long kFlags = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  if (!into || X509_NAME_print_ex(into.get(), name, 0, kFlags) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(into.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string Text(const ASN1_STRING* string) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                     static_cast<size_t>(ASN1_STRING_length(string)));
}

std::string Sha256(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

std::string Address(const ASN1_OCTET_STRING* octets) {
  const int length = ASN1_STRING_length(octets);
  if (length != 4 && length != 16) return {};
  char text[INET6_ADDRSTRLEN];
  const char* written =
      ::inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(octets), text, sizeof(text));
  return written == nullptr ? std::string() : std::string(written);
}

}  // namespace

tls::Certificate Describe(X509* certificate) {
  tls::Certificate described = {.subject = Text(X509_get_subject_name(certificate)),
                                .issuer = Text(X509_get_issuer_name(certificate)),
                                .names = {},
                                .uris = {},
                                .not_before = absl::FromUnixSeconds(UnixSeconds(X509_get0_notBefore(certificate))),
                                .not_after = absl::FromUnixSeconds(UnixSeconds(X509_get0_notAfter(certificate))),
                                .sha256 = Sha256(certificate)};
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) described.names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) described.names.push_back(Address(name->d.iPAddress));
    if (name->type == GEN_URI) described.uris.push_back(Text(name->d.uniformResourceIdentifier));
  }
  return described;
}

int64_t UnixSeconds(const ASN1_TIME* time) noexcept {
  tm broken_down;
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? ::timegm(&broken_down) : 0;
}

}  // namespace weft::internal
