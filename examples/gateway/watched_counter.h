// A number that goes up and down, and that virtual threads can wait for: "until 10,000 requests have arrived".
#ifndef WEFT_EXAMPLES_GATEWAY_WATCHED_COUNTER_H_
#define WEFT_EXAMPLES_GATEWAY_WATCHED_COUNTER_H_

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "weft/weft.h"

namespace gateway {

class WatchedCounter {
 public:
  WatchedCounter() = default;
  WatchedCounter(const WatchedCounter&) = delete;
  WatchedCounter& operator=(const WatchedCounter&) = delete;

  // Any thread.
  void Add(int64_t change) {
    std::lock_guard lock(mutex_);
    value_ += change;
    peak_ = std::max(peak_, value_);
    for (Waiter* waiter : waiters_) {
      if (value_ >= waiter->at_least) waiter->reached.Set();
    }
  }
  int64_t value() const {
    std::lock_guard lock(mutex_);
    return value_;
  }
  int64_t peak() const {
    std::lock_guard lock(mutex_);
    return peak_;
  }

  // Until the counter has been at least that much since the call.
  weft::Task<void> AtLeast(int64_t value) {
    Waiter waiter(*this, value);
    co_await waiter.reached.Wait();
  }

 private:
  struct Waiter {
    Waiter(WatchedCounter& watched, int64_t value) : counter(watched), at_least(value) {
      std::lock_guard lock(counter.mutex_);
      counter.waiters_.push_back(this);
      if (counter.value_ >= at_least) reached.Set();
    }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
      std::lock_guard lock(counter.mutex_);
      std::erase(counter.waiters_, this);
    }

    WatchedCounter& counter;
    const int64_t at_least;
    weft::Event reached;
  };

  mutable std::mutex mutex_;
  int64_t value_ = 0;             // guarded by mutex_
  int64_t peak_ = 0;              // guarded by mutex_
  std::vector<Waiter*> waiters_;  // guarded by mutex_
};

// One more in the counter, for as long as this lives.
class Counted {
 public:
  explicit Counted(WatchedCounter& counter) : counter_(counter) { counter_.Add(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { counter_.Add(-1); }

 private:
  WatchedCounter& counter_;
};

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_WATCHED_COUNTER_H_
