// Goal: Resolver finds the addresses of names without holding a carrier, never more than its limit at a time, and
// nobody waits for a lookup that was given up. Method: a table of names in place of the machine's (names.h).
#include "weft/net/resolver.h"

#include <netdb.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/names.h"
#include "tests/support/on_both.h"
#include "weft/thread_builder.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;
using net::Resolver;
using net::SocketAddress;
using Addresses = absl::StatusOr<std::vector<SocketAddress>>;

std::string Text(const Addresses& addresses) {
  if (!addresses.ok()) return std::string(absl::StatusCodeToString(addresses.status().code()));
  std::string text;
  for (const SocketAddress& each : *addresses) text += (text.empty() ? "" : " ") + each.ToString();
  return text;
}

class ResolverTest : public OnBoth {
 protected:
  // Runtimes of OS threads only: in a simulation a call that waits keeps all from running.
  template <class Body>
  static void OnRealCarriers(Body body) {
    if (simulated()) return;
    const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = carriers()}).value();
    runtime->Run(body());
  }
};
WEFT_ON_BOTH(ResolverTest);

TEST_P(ResolverTest, ANameHasItsAddressesInTheOrderOfTheSystem) {
  const ScopedNames names({{"db.internal", {{"::1", "127.0.0.2", "127.0.0.1"}}}});
  Everywhere([]() -> Task<void> {
    Resolver resolver;
    EXPECT_EQ(Text(co_await resolver.Resolve("db.internal", 5432)), "[::1]:5432 127.0.0.2:5432 127.0.0.1:5432");
    EXPECT_EQ(Text(co_await resolver.Resolve("db.internal", 0)), "[::1]:0 127.0.0.2:0 127.0.0.1:0");
    EXPECT_EQ(Text(co_await Resolver::Default().Resolve("other.internal", 1)), "NOT_FOUND");
  });
}

// A regression: the thread of the lookup was ended with the others, and its caller got a broken promise.
TEST(ResolverThreadTest, ACleanUpFindsANameAlsoWhileTheRuntimeEnds) {
  const ScopedNames names({{"registry.internal", {{"127.0.0.1"}}}});
  std::string found;
  {
    const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = 1}).value();
    runtime->Run([](std::string& found) -> Task<void> {
      const VirtualThread thread = VirtualThread::Start([](std::string& text) -> Task<void> {
        co_await Finally(Forever(), [&text]() -> Task<void> {
          Resolver resolver;
          text = Text(co_await resolver.Resolve("registry.internal", 80));
        });
      }(found));
      co_await UntilParked(thread);
    }(found));
  }
  EXPECT_EQ(found, "127.0.0.1:80");
}

TEST_P(ResolverTest, ANumericHostIsNotLookedUp) {
  const ScopedNames names({});
  Everywhere([]() -> Task<void> {
    Resolver resolver;
    EXPECT_EQ(Text(co_await resolver.Resolve("127.0.0.1", 80)), "127.0.0.1:80");
    EXPECT_EQ(Text(co_await resolver.Resolve("::1", 65535)), "[::1]:65535");
    EXPECT_EQ(Text(co_await resolver.Resolve("::1", 80, Resolver::Family::kIpv6)), "[::1]:80");
    EXPECT_EQ(Text(co_await resolver.Resolve("::1", 80, Resolver::Family::kIpv4)), "NOT_FOUND");
  });
  EXPECT_EQ(names.lookups(), 0);
}

TEST_P(ResolverTest, WhatIsNoHostNameIsInvalidAndNotLookedUp) {
  const ScopedNames names({});
  Everywhere([]() -> Task<void> {
    Resolver resolver;
    EXPECT_EQ(Text(co_await resolver.Resolve("", 80)), "INVALID_ARGUMENT");
    EXPECT_EQ(Text(co_await resolver.Resolve(std::string("a\0b", 3), 80)), "INVALID_ARGUMENT");
  });
  EXPECT_EQ(names.lookups(), 0);
}

TEST_P(ResolverTest, EachErrorHasItsCodeAndSaysTheNameAndTheReason) {
  const ScopedNames names({{"nodata", {{}, EAI_NODATA}},
                           {"family", {{}, EAI_ADDRFAMILY}},
                           {"again", {{}, EAI_AGAIN}},
                           {"fail", {{}, EAI_FAIL}},
                           {"memory", {{}, EAI_MEMORY}},
                           {"overflow", {{}, EAI_OVERFLOW}},
                           {"unknown", {{}, -1234}}});
  Everywhere([]() -> Task<void> {
    Resolver resolver;
    for (const auto& [name, code] :
         {std::pair("none", "NOT_FOUND"), {"nodata", "NOT_FOUND"}, {"family", "NOT_FOUND"}, {"again", "UNAVAILABLE"},
          {"fail", "INTERNAL"}, {"memory", "RESOURCE_EXHAUSTED"}, {"overflow", "INVALID_ARGUMENT"},
          {"unknown", "UNKNOWN"}}) {
      EXPECT_EQ(Text(co_await resolver.Resolve(name, 80)), code) << name;
    }
    EXPECT_EQ((co_await resolver.Resolve("again", 80)).status().message(),
              "lookup of \"again\": Temporary failure in name resolution (EAI_AGAIN)");
  });
}

TEST_P(ResolverTest, AnErrorOfTheSystemHasItsErrno) {
  Everywhere([]() -> Task<void> {
    Resolver resolver;
    // The first call asks whether the host is numeric.
    const ScopedSyscallFault fault(&Syscalls::getaddrinfo, {.first = 2, .error = -EAI_AGAIN});
    EXPECT_EQ(Text(co_await resolver.Resolve("weft.invalid", 80)), "UNAVAILABLE");
  });
}

TEST_P(ResolverTest, WithoutAnOsThreadItIsResourceExhausted) {
  OnRealCarriers([]() -> Task<void> {
    Resolver resolver;
    const ScopedSyscallFault fault(&Syscalls::pthread_create,
                                   {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    const Addresses none = co_await resolver.Resolve("weft.invalid", 80);
    EXPECT_EQ(none.status().code(), absl::StatusCode::kResourceExhausted) << none.status();
  });
}

// ---- The limit, and cancellation.

Task<void> UntilUnderWay(const ScopedNames& names, int lookups) {
  while (names.under_way() != lookups) co_await Yield();
}

TEST_P(ResolverTest, NoMoreThanTheLimitAreUnderWayAtATime) {
  ScopedNames names({{"slow", {{"127.0.0.1"}, 0, /*waits=*/true}}});
  OnRealCarriers([&]() -> Task<void> {
    Resolver resolver({.max_concurrent = 2});
    ShutdownOnFailure scope;
    for (int i = 0; i < 6; ++i) scope.Fork(resolver.Resolve("slow", 80));
    co_await UntilUnderWay(names, 2);
    EXPECT_EQ(names.lookups(), 2);
    names.Answer();
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_EQ(names.lookups(), 6);
    EXPECT_LE(names.most_under_way(), 2);
  });
}

TEST_P(ResolverTest, ALookupThatIsQueuedIsWithdrawn) {
  ScopedNames names({{"slow", {{"127.0.0.1"}, 0, /*waits=*/true}}});
  OnRealCarriers([&]() -> Task<void> {
    Resolver resolver({.max_concurrent = 1});
    ShutdownOnFailure scope;
    scope.Fork(resolver.Resolve("slow", 80));
    co_await UntilUnderWay(names, 1);
    EXPECT_FALSE((co_await StopOnceItWaits(resolver.Resolve("slow", 80))).ok());
    names.Answer();
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(names.lookups(), 1);
  });
}

TEST_P(ResolverTest, NobodyWaitsForALookupThatWasGivenUp) {
  ScopedNames names({{"slow", {{"127.0.0.1"}, 0, /*waits=*/true}}});
  OnRealCarriers([&]() -> Task<void> {
    std::optional<Resolver> resolver(Resolver({.max_concurrent = 1}));
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { (co_await resolver->Resolve("slow", 80)).IgnoreError(); });
    co_await UntilUnderWay(names, 1);
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(names.under_way(), 1);
    // It keeps its place.
    EXPECT_FALSE((co_await StopOnceItWaits(resolver->Resolve("slow", 80))).ok());
    EXPECT_EQ(names.lookups(), 1);
    names.Answer();
    EXPECT_EQ(Text(co_await resolver->Resolve("slow", 80)), "127.0.0.1:80");
  });
}

TEST_P(ResolverTest, TheEndOfTheResolverAndOfTheRuntimeMayComeFirst) {
  ScopedNames names({{"slow", {{"127.0.0.1"}, 0, /*waits=*/true}}});
  std::optional<std::thread> answer;
  OnRealCarriers([&]() -> Task<void> {
    Resolver resolver;
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> { (co_await resolver.Resolve("slow", 80)).IgnoreError(); });
    }
    co_await UntilUnderWay(names, 3);
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    answer.emplace([&names] { names.Answer(); });
  });
  if (answer.has_value()) answer->join();
}

}  // namespace
}  // namespace weft::testing
