// Keys and values, of which some expire. In memory; nothing is evicted.
//
// The keys are spread over shards, each behind a lock of its own, so that carriers seldom wait for each other. A lock
// is held for one call, in which nothing suspends: so it may be one of the OS.
//
// Expiry is by the clock that nobody sets (weft::MonotonicNow()). Whoever locks a shard first drops what has expired in
// it, so no call ever sees a key whose time is over, and nothing has to sweep.
//
// Any number of virtual threads may call. Each call is atomic.
#ifndef WEFT_EXAMPLES_REDIS_STORE_H_
#define WEFT_EXAMPLES_REDIS_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace redis {

struct SetOptions {
  enum class If : uint8_t { kAlways, kAbsent, kPresent };

  If condition = If::kAlways;
  absl::Duration expires_in = absl::InfiniteDuration();
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // False if the condition does not hold: nothing has changed.
  bool Set(std::string_view key, std::string_view value, SetOptions options = {});
  std::optional<std::string> Get(std::string_view key);
  bool Exists(std::string_view key);
  // False if there was none; so is Expire().
  bool Delete(std::string_view key);
  // A duration of zero or less deletes the key.
  bool Expire(std::string_view key, absl::Duration expires_in);
  // Infinite for a key that does not expire. Nothing if there is none.
  std::optional<absl::Duration> TimeToLive(std::string_view key);
  // Adds to an integer, and returns the sum; a key that is not there is 0. The time to live stays. kInvalidArgument, in
  // words for the client: the value is no integer, or the sum does not fit.
  absl::StatusOr<int64_t> Add(std::string_view key, int64_t amount);

 private:
  struct Entry {
    std::string value;
    weft::MonotonicTime expires = weft::MonotonicTime::InfiniteFuture();
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  struct Shard {
    void Reschedule(Entries::value_type& entry, weft::MonotonicTime expires);
    void Erase(Entries::iterator entry);

    std::mutex mutex;
    Entries entries;                                                     // guarded by mutex
    std::set<std::pair<weft::MonotonicTime, std::string_view>> expiries;  // guarded by mutex; of those that expire
  };
  class LockedShard;

  std::array<Shard, 64> shards_;
};

}  // namespace redis

#endif  // WEFT_EXAMPLES_REDIS_STORE_H_
