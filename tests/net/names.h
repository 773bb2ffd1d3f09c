// A table of names in place of the machine's resolver.
//
//   const ScopedNames names({{"db.internal", {{"::1", "127.0.0.1"}}}, {"broken.internal", {{}, EAI_FAIL}}});
//
// Names that are not in it do not exist (EAI_NONAME). Numeric hosts are the C library's matter, as ever. A name with
// `waits` is not answered before Answer().
#ifndef WEFT_TESTS_NET_NAMES_H_
#define WEFT_TESTS_NET_NAMES_H_

#include <netdb.h>

#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/os/syscalls.h"

namespace weft::testing {

class ScopedNames {
 public:
  struct Entry {
    std::vector<std::string> addresses;
    int error = 0;  // EAI_...
    bool waits = false;
  };

  explicit ScopedNames(std::map<std::string, Entry> table) : table_(std::move(table)), syscalls_(Table()) {
    current_.store(this);
  }
  ~ScopedNames() { EXPECT_EQ(under_way_.load(), 0) << "a lookup goes on"; }

  void Answer() {
    answered_.store(true);
    answered_.notify_all();
  }
  // Lookups of names so far, those that go on, and the most that went on at a time.
  int lookups() const { return lookups_.load(); }
  int under_way() const { return under_way_.load(); }
  int most_under_way() const { return most_.load(); }

 private:
  static const internal::Syscalls& Table() {
    static const internal::Syscalls table = [] {
      internal::Syscalls changed = internal::RealSyscalls();
      changed.getaddrinfo = &LookUp;
      return changed;
    }();
    return table;
  }
  static int LookUp(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) return ::getaddrinfo(host, service, hints, found);
    return current_.load()->Find(host, service, *hints, found);
  }
  int Find(const std::string& host, const char* service, addrinfo hints, addrinfo** found) {
    ++lookups_;
    const int now = ++under_way_;
    for (int most = most_.load(); most < now && !most_.compare_exchange_weak(most, now);) {
    }
    const int error = FindEntry(host, service, hints, found);
    --under_way_;
    return error;
  }
  int FindEntry(const std::string& host, const char* service, addrinfo hints, addrinfo** found) {
    const auto entry = table_.find(host);
    if (entry == table_.end()) return EAI_NONAME;
    if (entry->second.waits) answered_.wait(false);
    // The C library makes each element, so that it can free the list.
    hints.ai_flags |= AI_NUMERICHOST;
    addrinfo** last = found;
    for (const std::string& address : entry->second.addresses) {
      EXPECT_EQ(::getaddrinfo(address.c_str(), service, &hints, last), 0) << address;
      last = &(*last)->ai_next;
    }
    return entry->second.error;
  }

  static inline std::atomic<ScopedNames*> current_{nullptr};

  const std::map<std::string, Entry> table_;
  std::atomic<bool> answered_{false};
  std::atomic<int> lookups_{0}, under_way_{0}, most_{0};
  const internal::ScopedSyscalls syscalls_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_NAMES_H_
