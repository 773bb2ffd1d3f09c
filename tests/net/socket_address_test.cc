// Goal: addresses parse and print both ways, and what does not parse is told why.
#include "weft/net/socket_address.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::net {
namespace {

std::string Why(const char* text) { return std::string(SocketAddress::Parse(text).status().message()); }

void Refuse(const std::string& text) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << "\"" << text << "\"";
  EXPECT_NE(address.status().message().find("is not a socket address: "), std::string_view::npos) << address.status();
}

absl::StatusOr<SocketAddress> From(const sockaddr_storage& address, socklen_t size) {
  return SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
}

// The same of the first `size` bytes of `address`, or of more, in memory as large as that, on the heap, where a
// sanitizer sees a read past the end.
absl::StatusOr<SocketAddress> FromHeap(const SocketAddress& address, socklen_t size) {
  const std::unique_ptr<char[]> bytes(new char[size]());
  std::memcpy(bytes.get(), address.data(), std::min(size, address.size()));
  return SocketAddress::From(reinterpret_cast<const sockaddr*>(bytes.get()), size);
}

TEST(SocketAddressTest, ParsesWhatItPrints) {
  for (const char* text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0", "[2001:db8::7]:443"}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(SocketAddressTest, ALinkLocalAddressHasAZone) {
  const uint32_t loopback = ::if_nametoindex("lo");
  ASSERT_GT(loopback, 0u);
  const std::string by_index = absl::StrCat("[fe80::1%", loopback, "]:80");
  for (const std::string& text : {std::string("[fe80::1%lo]:80"), by_index}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), by_index);
    EXPECT_EQ(address->port(), 80);
    EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(address->data())->sin6_scope_id, loopback);
    EXPECT_EQ(*SocketAddress::From(address->data(), address->size()), *address);
  }
  EXPECT_FALSE(*SocketAddress::Parse("[fe80::1]:80") == *SocketAddress::Parse(by_index));
  EXPECT_EQ(SocketAddress::Parse("[ff02::7%lo]:0")->ToString(), absl::StrCat("[ff02::7%", loopback, "]:0"));
  for (const char* text :
       {"[fe80::1%]:80", "[fe80::1%no interface]:80", "[fe80::1%-1]:80", "[%lo]:80", "[fe80::1%lo%lo]:80"}) {
    Refuse(text);
  }
  EXPECT_THAT(Why("[::1%lo]:80"), testing::HasSubstr("only a link-local address has a zone"));
}

TEST(SocketAddressTest, AnEmptyHostIsEveryIpv4Address) {
  EXPECT_EQ(SocketAddress::Parse(":8080")->ToString(), "0.0.0.0:8080");
}

TEST(SocketAddressTest, ThePortIsInHostOrder) { EXPECT_EQ(SocketAddress::Parse("127.0.0.1:8080")->port(), 8080); }

TEST(SocketAddressTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(Why("127.0.0.1"), "\"127.0.0.1\" is not a socket address: it has no port, as in \"127.0.0.1:8080\"");
  EXPECT_EQ(Why("127.0.0.1:"), "\"127.0.0.1:\" is not a socket address: the port must be a number from 0 to 65535");
  EXPECT_EQ(Why("127.0.0.1:65536"),
            "\"127.0.0.1:65536\" is not a socket address: the port must be a number from 0 to 65535");
  EXPECT_EQ(Why("localhost:80"),
            "\"localhost:80\" is not a socket address: the host must be a numeric address; names are not looked up");
  EXPECT_EQ(Why("::1:80"),
            "\"::1:80\" is not a socket address: an IPv6 address goes in brackets, as in \"[::1]:8080\"");
  EXPECT_EQ(Why("[::1:80"), "\"[::1:80\" is not a socket address: the bracket is not closed, as in \"[::1]:8080\"");
  EXPECT_EQ(Why("[one]:80"), "\"[one]:80\" is not a socket address: what is in brackets must be an IPv6 address");
}

// Every text is refused whole, whatever is wrong with it and wherever it stands.
TEST(SocketAddressTest, WhatIsNoAddressIsRefused) {
  const std::string zero(1, '\0');
  const std::string hosts[] = {"", "127.0.0.1", "[::1]"};
  const std::string ports[] = {
      "", "+80", "-0", "-80", " 80", "80 ", "8 0", "\t80", "80\n", "0x50", "8e1", "80.", "1'000", "65536", "99999",
      "4294967376", "18446744073709551696", "٨٠", "http", "80:80", zero, "80" + zero, zero + "80", "8" + zero + "0",
  };
  for (const std::string& host : hosts) {
    for (const std::string& port : ports) Refuse(host + ":" + port);
  }
  const std::string no_hosts[] = {
      "127.0.0", "127.1", "127.0.0.1.1", "127.0.0.256", "127.0.0.-1", "127.0.0.+1", "127.0.0.01", "0x7f.0.0.1",
      "2130706433", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1%lo", "*", "localhost", "::1", "::", "[", "]", "[]", "[::1",
      "::1]", "[[::1]]", "[::1]]", "[::1] ", " [::1]", "[::1]x", "[::1%lo]", "[127.0.0.1]", "[1:2:3:4:5:6:7]",
      "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[12345::]", "[:1]", "[+1::]", zero, "127.0.0.1" + zero, zero + "127.0.0.1",
      "127.0.0.1" + zero + ".example", "[::1" + zero + "]", "[::1]" + zero, "[" + zero + "::1]",
  };
  for (const std::string& host : no_hosts) Refuse(host + ":80");
  for (const std::string& text : {std::string(), std::string("80"), std::string("127.0.0.1"), std::string("[::1]"),
                                  std::string("[::]"), zero, std::string("127.0.0.1;80")}) {
    Refuse(text);
  }
}

TEST(SocketAddressTest, ThePortsThatAreNumbersAreTaken) {
  for (const auto& [text, port] : {std::pair("0", 0), {"1", 1}, {"00080", 80}, {"65535", 65535}}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(std::string("127.0.0.1:") + text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->port(), port);
  }
}

TEST(SocketAddressTest, AnotherFamilyIsRefused) {
  for (const int family : {AF_UNSPEC, AF_NETLINK, 65535}) {
    sockaddr_storage other = {};
    other.ss_family = static_cast<sa_family_t>(family);
    EXPECT_EQ(From(other, sizeof(other)).status().code(), absl::StatusCode::kInvalidArgument) << family;
    EXPECT_EQ(From(other, sizeof(sockaddr)).status().code(), absl::StatusCode::kInvalidArgument) << family;
  }
}

// A short address is not read past its end: the family has to lie in it, and all of what the family needs.
TEST(SocketAddressTest, AnAddressThatIsTooShortIsRefusedAndALongerOneIsItsBeginning) {
  for (const auto& [text, own] : {std::pair("127.0.0.1:80", sizeof(sockaddr_in)), {"[::1]:80", sizeof(sockaddr_in6)}}) {
    const SocketAddress address = *SocketAddress::Parse(text);
    ASSERT_EQ(address.size(), own);
    for (socklen_t size = 0; size <= sizeof(sockaddr_storage); ++size) {
      const absl::StatusOr<SocketAddress> copy = FromHeap(address, size);
      EXPECT_EQ(copy.ok(), size >= own) << size << " bytes of " << text << ": " << copy.status();
      if (copy.ok()) {
        EXPECT_EQ(*copy, address);
      } else {
        EXPECT_EQ(copy.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
}

// ---- Unix sockets.

TEST(SocketAddressTest, TheNamesOfUnixSocketsParseAsTheyPrint) {
  for (const std::string& text : {std::string("unix:/run/x.sock"), std::string("unix:x"), std::string("unix:a:80"),
                                  std::string("unix:@name"), std::string("unix:@/name"), std::string("unix:@@"),
                                  "unix:@a" + std::string(1, '\0'), "unix:" + std::string(107, 'p'),
                                  "unix:@" + std::string(107, 'n')}) {
    const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), text);
    EXPECT_EQ(address->family(), AF_UNIX);
    EXPECT_EQ(address->port(), 0);
    EXPECT_EQ(*SocketAddress::From(address->data(), address->size()), *address);
  }
  EXPECT_EQ(SocketAddress::Unix("/run/x.sock")->ToString(), "unix:/run/x.sock");
  EXPECT_EQ(SocketAddress::Unix("/run/x.sock")->path(), "/run/x.sock");
  EXPECT_EQ(SocketAddress::Abstract("name")->ToString(), "unix:@name");
  EXPECT_EQ(SocketAddress::Abstract("name")->path(), "");
  EXPECT_EQ(SocketAddress::Abstract("name")->size(), 2u + 1u + 4u);
  EXPECT_EQ(SocketAddress::Parse("127.0.0.1:80")->path(), "");
}

TEST(SocketAddressTest, APathThatBeginsWithTheSignOfAbstractNamesPrintsAsThePathThatItIs) {
  EXPECT_EQ(SocketAddress::Unix("@x")->path(), "@x");
  EXPECT_EQ(SocketAddress::Unix("@x")->ToString(), "unix:./@x");
}

TEST(SocketAddressTest, ANameThatIsNoneOrTooLongIsRefused) {
  for (const std::string& text : {std::string("unix:"), std::string("unix:@"), "unix:" + std::string(108, 'p'),
                                  "unix:@" + std::string(108, 'n'), "unix:a" + std::string(1, '\0')}) {
    EXPECT_EQ(SocketAddress::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(SocketAddress::Unix(std::string(108, 'p')).status().message(),
            "the path of a Unix socket has 108 bytes; it must have 1 to 107");
}

// Also one that ends behind its family: that of a socket without a name.
TEST(SocketAddressTest, AnAddressOfAUnixSocketIsNotReadPastItsEnd) {
  for (const char* text : {"unix:/run/x", "unix:@name"}) {
    const SocketAddress address = *SocketAddress::Parse(text);
    const bool path = !address.path().empty();
    for (socklen_t size = 0; size <= 112; ++size) {
      const absl::StatusOr<SocketAddress> copy = FromHeap(address, size);
      EXPECT_EQ(copy.ok(), size >= 2 && size <= (path ? 111u : 110u)) << size << " bytes of " << text;
      if (!copy.ok()) continue;
      EXPECT_EQ(copy->size(), path ? std::min(size, address.size()) : size) << text;
      EXPECT_EQ(*copy == address, size == address.size() || (path && size > address.size())) << size << " of " << text;
    }
  }
}

TEST(SocketAddressTest, TheKernelsFormsOfAUnixSocketAreTakenAtEverySize) {
  const SocketAddress address = *SocketAddress::Unix("/run/x");
  sockaddr_storage kernel = {};
  std::memcpy(&kernel, address.data(), address.size());
  EXPECT_EQ(*From(kernel, address.size()), address);      // without the zero behind the path
  EXPECT_EQ(*From(kernel, address.size() + 1), address);  // with it
  EXPECT_EQ(*From(kernel, 110), address);
  EXPECT_EQ(*From(kernel, 111), address);  // a zero that has no room
  EXPECT_EQ(From(kernel, 112).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(From(kernel, 1).status().code(), absl::StatusCode::kInvalidArgument);
  const SocketAddress none = *From(kernel, 2);
  EXPECT_EQ(none.ToString(), "unix:");
  EXPECT_EQ(none.size(), 2u);
  // Others may bind a path that leaves no place for the zero.
  std::memset(reinterpret_cast<char*>(&kernel) + 2, 'p', 108);
  EXPECT_EQ(From(kernel, 110)->path(), std::string(108, 'p'));
}

}  // namespace
}  // namespace weft::net
