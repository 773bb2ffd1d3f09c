// Goal: addresses parse and print both ways, and what does not parse is told why.
#include "weft/net/socket_address.h"

#include <string>

#include "gtest/gtest.h"

namespace weft::net {
namespace {

std::string Why(const char* text) { return std::string(SocketAddress::Parse(text).status().message()); }

TEST(SocketAddressTest, ParsesWhatItPrints) {
  for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0", "[2001:db8::7]:443"}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(SocketAddressTest, AnEmptyHostIsEveryIpv4Address) { EXPECT_EQ(SocketAddress::Parse(":8080")->ToString(), "0.0.0.0:8080"); }

TEST(SocketAddressTest, ThePortIsInHostOrder) { EXPECT_EQ(SocketAddress::Parse("127.0.0.1:8080")->port(), 8080); }

TEST(SocketAddressTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(Why("127.0.0.1"), "\"127.0.0.1\" is not a socket address: it has no port, as in \"127.0.0.1:8080\"");
  EXPECT_EQ(Why("127.0.0.1:"), "\"127.0.0.1:\" is not a socket address: the port must be a number from 0 to 65535");
  EXPECT_EQ(Why("127.0.0.1:65536"), "\"127.0.0.1:65536\" is not a socket address: the port must be a number from 0 to 65535");
  EXPECT_EQ(Why("localhost:80"), "\"localhost:80\" is not a socket address: the host must be a numeric address; names are not looked up");
  EXPECT_EQ(Why("::1:80"), "\"::1:80\" is not a socket address: an IPv6 address goes in brackets, as in \"[::1]:8080\"");
  EXPECT_EQ(Why("[::1:80"), "\"[::1:80\" is not a socket address: the bracket is not closed, as in \"[::1]:8080\"");
  EXPECT_EQ(Why("[one]:80"), "\"[one]:80\" is not a socket address: what is in brackets must be an IPv6 address");
}

TEST(SocketAddressTest, AnotherFamilyIsRefused) {
  const sockaddr local = {.sa_family = AF_UNIX, .sa_data = {}};
  EXPECT_EQ(SocketAddress::From(&local, sizeof(local)).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft::net
