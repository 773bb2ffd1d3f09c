// Goal: a Context that cannot work is refused when it is made, with the reason and the file.
#include "weft/tls/context.h"

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/certificates.h"

namespace weft::testing {
namespace {

using ::testing::HasSubstr;
using tls::Context;
using tls::Pem;

void ExpectInvalid(const absl::Status& status, const std::string& reason) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.message(), HasSubstr(reason));
}

TEST(TlsContextTest, FilesAndTextsAreTheSame) {
  const std::string path = ::testing::TempDir() + "/tls_context_test.pem";
  std::ofstream(path) << ForDbInternal().certificate << ForDbInternal().key;
  EXPECT_TRUE(Context::Server({.certificate = Pem::File(path), .key = Pem::File(path)}).ok());
  EXPECT_TRUE(Context::Server({.certificate = Pem::File(path), .key = ForDbInternal().key_pem()}).ok());
}

TEST(TlsContextTest, AFileThatIsNotThereIsNotFound) {
  const absl::Status status =
      Context::Server({.certificate = Pem::File("/nowhere/a.pem"), .key = Pem::File("/nowhere/a.key")}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(status.message(), HasSubstr("certificate /nowhere/a.pem"));
}

TEST(TlsContextTest, WhatIsNoCertificateOrNoKeyIsRefused) {
  ExpectInvalid(Context::Server({}).status(), "certificate");
  ExpectInvalid(Context::Server({.certificate = Pem::Text("no PEM"), .key = ForDbInternal().key_pem()}).status(),
                "certificate: no start line");
  ExpectInvalid(Context::Server({.certificate = ForDbInternal().certificate_pem(), .key = {}}).status(), "key");
  ExpectInvalid(Context::Client({.authorities = Pem::Text("no PEM")}).status(), "authorities");
  ExpectInvalid(Context::Client({.certificate = ForDbInternal().certificate_pem()}).status(), "key");
}

// As an empty flag gives it: nothing is turned off for that.
TEST(TlsContextTest, WhatIsGivenAndEmptyIsRefusedByItsName) {
  const Pem certificate = ForDbInternal().certificate_pem();
  const Pem key = ForDbInternal().key_pem();
  for (const Pem& empty : {Pem::File(""), Pem::Text("")}) {
    ExpectInvalid(Context::Server({.certificate = certificate, .key = key, .client_authorities = empty}).status(),
                  "client_authorities: a Pem that is empty");
    ExpectInvalid(Context::Server({.certificate = empty, .key = key}).status(), "certificate: a Pem that is empty");
    ExpectInvalid(Context::Server({.certificate = certificate, .key = empty}).status(), "key: a Pem that is empty");
    ExpectInvalid(Context::Client({.authorities = empty}).status(), "authorities: a Pem that is empty");
    ExpectInvalid(Context::Client({.certificate = empty, .key = empty}).status(), "certificate: a Pem that is empty");
  }
}

TEST(TlsContextTest, TheKeyOfAnotherCertificateIsRefused) {
  const Issued other = Trusted().Issue({.name = "other", .names = {}});
  ExpectInvalid(Context::Server({.certificate = ForDbInternal().certificate_pem(), .key = other.key_pem()}).status(),
                "key values mismatch");
}

TEST(TlsContextTest, ImpossibleOptionsAreRefused) {
  ExpectInvalid(Context::Client({.alpn = {""}}).status(), "1 to 255 bytes");
  ExpectInvalid(Context::Client({.alpn = {std::string(256, 'x')}}).status(), "1 to 255 bytes");
  ExpectInvalid(
      Context::Client({.min_version = tls::Version::kTls13, .max_version = tls::Version::kTls12}).status(),
      "min_version");
  ExpectInvalid(Context::Server({.certificate = ForDbInternal().certificate_pem(),
                                 .key = ForDbInternal().key_pem(),
                                 .names = {{"a", *Context::Client({})}}})
                    .status(),
                "client's Context");
  // Whose would count?
  const Context mutual = *Context::Server({.certificate = ForDbInternal().certificate_pem(),
                                           .key = ForDbInternal().key_pem(),
                                           .client_authorities = Trusted().pem()});
  ExpectInvalid(Context::Server({.certificate = ForDbInternal().certificate_pem(),
                                 .key = ForDbInternal().key_pem(),
                                 .names = {{"a", mutual}}})
                    .status(),
                "client_authorities");
}

}  // namespace
}  // namespace weft::testing
