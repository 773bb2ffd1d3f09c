#include "lib/tls/session_cache.h"

#include <openssl/ssl.h>

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "lib/tls/openssl.h"
#include "weft/internal/lock.h"

namespace weft::internal {

void SessionCache::Put(const std::string& host, SessionPtr session) {
  SessionPtr oldest;  // freed after the lock was released
  Hosts dropped;
  const LockGuard guard(lock_);
  if (max_hosts_ == 0) return;
  const auto found = by_name_.find(host);
  if (found == by_name_.end()) {
    Hosts made;  // whole, before anybody can find it
    made.push_front({.name = host, .sessions = {}});
    made.front().sessions.push_back(std::move(session));
    by_name_.emplace(host, made.begin());
    by_use_.splice(by_use_.begin(), made);
  } else {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    std::vector<SessionPtr>& sessions = found->second->sessions;
    if (sessions.size() == kSessionsPerHost) {
      oldest = std::move(sessions.front());
      sessions.erase(sessions.begin());
    }
    sessions.push_back(std::move(session));
  }
  if (by_use_.size() > max_hosts_) {
    by_name_.erase(by_use_.back().name);
    dropped.splice(dropped.begin(), by_use_, std::prev(by_use_.end()));
  }
}

SessionPtr SessionCache::Take(const std::string& host) {
  const LockGuard guard(lock_);
  const auto found = by_name_.find(host);
  if (found == by_name_.end()) return nullptr;
  std::vector<SessionPtr>& sessions = found->second->sessions;
  if (SSL_SESSION_get_protocol_version(sessions.back().get()) != TLS1_3_VERSION) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    SSL_SESSION_up_ref(sessions.back().get());
    return SessionPtr(sessions.back().get());
  }
  SessionPtr taken = std::move(sessions.back());
  sessions.pop_back();
  if (sessions.empty()) {
    by_use_.erase(found->second);
    by_name_.erase(found);
  }
  return taken;
}

}  // namespace weft::internal
