// Layer testing. Which hosts of the machine's network reach each other?
//
// Every address is one of the machine's. An address that is disconnected reaches nobody, not even itself; two that are
// parted do not reach each other. What is under way then waits: TCP sends it again, and datagrams are lost.
#ifndef WEFT_LIB_TESTING_MACHINE_ROUTES_H_
#define WEFT_LIB_TESTING_MACHINE_ROUTES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "weft/net/socket_address.h"

namespace weft::internal::machine {

// An IP address without its port, as text.
inline std::string HostOf(const net::SocketAddress& address) {
  const std::string text = address.ToString();
  return text.substr(0, text.rfind(':'));
}

class Routes {
 public:
  void Part(const std::string& one, const std::string& other) {
    parted_.insert(std::minmax(one, other));
    TellWatches();
  }
  void Disconnect(const std::string& host) {
    disconnected_.insert(host);
    TellWatches();
  }
  void Heal() noexcept {
    parted_.clear();
    disconnected_.clear();
  }

  bool Reaches(const net::SocketAddress& one, const net::SocketAddress& other) const {
    if (parted_.empty() && disconnected_.empty()) return true;
    const std::string a = HostOf(one), b = HostOf(other);
    return !disconnected_.contains(a) && !disconnected_.contains(b) && !parted_.contains(std::minmax(a, b));
  }

  // Has `what` happen whenever hosts have been cut off, until it is forgotten. Returns a number above 0.
  int64_t Watch(std::function<void()> what) {
    watches_.emplace(++last_watch_, std::move(what));
    return last_watch_;
  }
  void Forget(int64_t watch) noexcept { watches_.erase(watch); }

 private:
  void TellWatches() const {
    for (const auto& [watch, what] : watches_) what();
  }

  std::set<std::pair<std::string, std::string>> parted_;
  std::set<std::string> disconnected_;
  std::map<int64_t, std::function<void()>> watches_;
  int64_t last_watch_ = 0;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_ROUTES_H_
