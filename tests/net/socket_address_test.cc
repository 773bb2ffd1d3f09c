// Goal: what SocketAddress reads and prints, and that what it refuses is refused with a sentence.
// Method: tables of texts; the kernel's form there and back.
#include "weft/net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace weft::net {
namespace {

TEST(SocketAddressTest, WhatIsParsedIsPrintedAgain) {
  for (const char* text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8080", "[::]:0", "[2001:db8::5]:443"}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), text);
    std::ostringstream out;
    out << *address;
    EXPECT_EQ(out.str(), text);
    EXPECT_EQ(*address, *SocketAddress::Parse(text));
  }
}

TEST(SocketAddressTest, WithoutAHostItIsEveryAddressOfTheMachine) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(":8080");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->ToString(), "0.0.0.0:8080");
  EXPECT_EQ(address->port(), 8080);
  EXPECT_EQ(address->family(), AF_INET);
  EXPECT_EQ(address->size(), sizeof(sockaddr_in));
}

TEST(SocketAddressTest, TheKernelGetsWhatWasParsed) {
  const SocketAddress v4 = *SocketAddress::Parse("10.1.2.3:258");
  const auto* const in = reinterpret_cast<const sockaddr_in*>(v4.data());
  EXPECT_EQ(in->sin_family, AF_INET);
  EXPECT_EQ(ntohs(in->sin_port), 258);
  EXPECT_EQ(ntohl(in->sin_addr.s_addr), 0x0a010203u);
  const SocketAddress v6 = *SocketAddress::Parse("[::1]:258");
  const auto* const in6 = reinterpret_cast<const sockaddr_in6*>(v6.data());
  EXPECT_EQ(v6.size(), sizeof(sockaddr_in6));
  EXPECT_EQ(in6->sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(in6->sin6_port), 258);
  EXPECT_EQ(std::memcmp(&in6->sin6_addr, &in6addr_loopback, sizeof(in6_addr)), 0);
  EXPECT_EQ(in6->sin6_scope_id, 0u);
}

TEST(SocketAddressTest, TheKernelsFormComesBack) {
  for (const char* text : {"192.168.0.7:1234", "[fe80::1]:1"}) {
    const SocketAddress address = *SocketAddress::Parse(text);
    const absl::StatusOr<SocketAddress> again = SocketAddress::From(address.data(), address.size());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, address);
  }
}

TEST(SocketAddressTest, WhatIsNoAddressIsRefusedWithASentence) {
  for (const absl::string_view text : {absl::string_view(""),
                                       absl::string_view("127.0.0.1"),
                                       absl::string_view("127.0.0.1:"),
                                       absl::string_view("127.0.0.1:x"),
                                       absl::string_view("127.0.0.1:65536"),
                                       absl::string_view("127.0.0.1:-1"),
                                       absl::string_view("127.0.0.1:+1"),
                                       absl::string_view("127.0.0.1: 1"),
                                       absl::string_view("127.0.0.1:1 "),
                                       absl::string_view("127.0.0.1:99999999999"),
                                       absl::string_view("127.0.0:80"),
                                       absl::string_view("256.0.0.1:80"),
                                       absl::string_view("localhost:80"),
                                       absl::string_view("::1:80"),
                                       absl::string_view("[::1:80"),
                                       absl::string_view("[::1]80"),
                                       absl::string_view("[]:80"),
                                       absl::string_view("[:80"),
                                       absl::string_view("[127.0.0.1]:80"),
                                       absl::string_view("[g::1]:80"),
                                       absl::string_view(" 127.0.0.1:80"),
                                       absl::string_view("127.0.0.1\0:80", 13)}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << "\"" << text << "\" became " << *address;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(address.status().message()).find(" is not a socket address: "), std::string::npos)
        << address.status();
  }
}

TEST(SocketAddressTest, OtherFamiliesAndShortAddressesAreRefused) {
  sockaddr_un unix_address = {};
  unix_address.sun_family = AF_UNIX;
  EXPECT_EQ(SocketAddress::From(reinterpret_cast<sockaddr*>(&unix_address), 10).status().code(),
            absl::StatusCode::kInvalidArgument);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  EXPECT_EQ(SocketAddress::From(reinterpret_cast<sockaddr*>(&v6), sizeof(sockaddr_in)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft::net
