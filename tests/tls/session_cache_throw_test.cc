// A session cache without memory. Goal: a session that finds no place is dropped, and the cache is as it was. Method:
// each allocation of a Put() in turn.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "lib/tls/openssl.h"
#include "lib/tls/session_cache.h"
#include "tests/support/allocator.h"

namespace weft::testing {
namespace {

using internal::SessionCache;
using internal::SessionPtr;

thread_local int64_t left = -1;  // allocations, by operator new, that succeed before one fails; negative: all do

// True: one has failed.
bool PutFails(SessionCache& cache, const std::string& host, int64_t allocations) {
  SessionPtr session(SSL_SESSION_new());
  SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION);  // so it is given out once
  bool thrown = false;
  left = allocations;
  try {
    cache.Put(host, std::move(session));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  left = -1;
  return thrown;
}

TEST(SessionCacheTest, WithoutMemoryAPutChangesNothing) {
  may_allocate = [](size_t, bool) noexcept { return left < 0 || left-- > 0; };
  const std::string first(100, 'a');  // names that have no place in the string itself
  const std::string second(100, 'b');
  // Of another host, which takes the first one's place, and of the same one.
  for (const std::string& host : {second, first}) {
    int64_t failures = 0;
    for (bool fails = true; fails;) {
      SessionCache cache(/*max_hosts=*/1);
      ASSERT_FALSE(PutFails(cache, first, -1));
      fails = PutFails(cache, host, failures);
      failures += fails;
      const bool two = !fails && host == first;
      EXPECT_EQ(cache.Take(second) != nullptr, !fails && host == second) << failures;
      EXPECT_EQ(cache.Take(first) != nullptr, fails || host == first) << failures;
      EXPECT_EQ(cache.Take(first) != nullptr, two) << failures;
    }
    EXPECT_GT(failures, 0);
  }
}

}  // namespace
}  // namespace weft::testing
