#include "lib/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <string>

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
                                .names = {}};
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) described.names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) described.names.push_back(Address(name->d.iPAddress));
  }
  return described;
}

}  // namespace weft::internal
