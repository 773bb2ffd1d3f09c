#include "examples/redis/store.h"

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/redis/integer.h"

namespace redis {

// The shard of a key, locked, without what has expired.
class Store::LockedShard {
 public:
  LockedShard(Store& store, std::string_view key)
      : now_(weft::MonotonicNow()), shard_(store.shards_[Hash()(key) % store.shards_.size()]), lock_(shard_.mutex) {
    while (!shard_.expiries.empty() && shard_.expiries.begin()->first <= now_) {
      shard_.Erase(shard_.entries.find(shard_.expiries.begin()->second));
    }
  }

  Shard* operator->() { return &shard_; }
  weft::MonotonicTime now() const { return now_; }

 private:
  const weft::MonotonicTime now_;
  Shard& shard_;
  const std::lock_guard<std::mutex> lock_;
};

void Store::Shard::Reschedule(Entries::value_type& entry, weft::MonotonicTime expires) {
  auto& [key, value] = entry;
  expiries.erase({value.expires, key});
  value.expires = expires;
  if (expires != weft::MonotonicTime::InfiniteFuture()) expiries.emplace(expires, key);
}

void Store::Shard::Erase(Entries::iterator entry) {
  expiries.erase({entry->second.expires, entry->first});
  entries.erase(entry);
}

bool Store::Set(std::string_view key, std::string_view value, SetOptions options) {
  LockedShard shard(*this, key);
  auto entry = shard->entries.find(key);
  const bool present = entry != shard->entries.end();
  if (options.condition == (present ? SetOptions::If::kAbsent : SetOptions::If::kPresent)) return false;
  if (!present) entry = shard->entries.try_emplace(std::string(key)).first;
  entry->second.value = value;
  shard->Reschedule(*entry, shard.now() + options.expires_in);
  return true;
}

std::optional<std::string> Store::Get(std::string_view key) {
  LockedShard shard(*this, key);
  const auto entry = shard->entries.find(key);
  if (entry == shard->entries.end()) return std::nullopt;
  return entry->second.value;
}

bool Store::Exists(std::string_view key) {
  LockedShard shard(*this, key);
  return shard->entries.contains(key);
}

bool Store::Delete(std::string_view key) {
  LockedShard shard(*this, key);
  const auto entry = shard->entries.find(key);
  if (entry == shard->entries.end()) return false;
  shard->Erase(entry);
  return true;
}

bool Store::Expire(std::string_view key, absl::Duration expires_in) {
  LockedShard shard(*this, key);
  const auto entry = shard->entries.find(key);
  if (entry == shard->entries.end()) return false;
  if (expires_in <= absl::ZeroDuration()) {
    shard->Erase(entry);
  } else {
    shard->Reschedule(*entry, shard.now() + expires_in);
  }
  return true;
}

std::optional<absl::Duration> Store::TimeToLive(std::string_view key) {
  LockedShard shard(*this, key);
  const auto entry = shard->entries.find(key);
  if (entry == shard->entries.end()) return std::nullopt;
  return entry->second.expires - shard.now();
}

absl::StatusOr<int64_t> Store::Add(std::string_view key, int64_t amount) {
  LockedShard shard(*this, key);
  const auto entry = shard->entries.find(key);
  const bool present = entry != shard->entries.end();
  const std::optional<int64_t> before = present ? ParseInteger(entry->second.value) : 0;
  if (!before.has_value()) return absl::InvalidArgumentError("ERR value is not an integer or out of range");
  int64_t sum = 0;
  if (__builtin_add_overflow(*before, amount, &sum)) {
    return absl::InvalidArgumentError("ERR increment or decrement would overflow");
  }
  Entry& changed = present ? entry->second : shard->entries[std::string(key)];
  changed.value = absl::StrCat(sum);
  return sum;
}

}  // namespace redis
