// Layer tls. Which sessions can the next connection to a host resume?
//
// Up to kSessionsPerHost for each host, the newest first, so that several connections that are made at once can each
// have one. A session of TLS 1.3 is given out once: whoever sees the same ticket twice knows that it is the same client
// (RFC 8446, C.4). If there are too many hosts, the one that was used least recently goes.
#ifndef WEFT_LIB_TLS_SESSION_CACHE_H_
#define WEFT_LIB_TLS_SESSION_CACHE_H_

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "lib/tls/openssl.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// Any thread.
class SessionCache {
 public:
  static constexpr size_t kSessionsPerHost = 4;

  explicit SessionCache(size_t max_hosts) noexcept : max_hosts_(max_hosts) {}

  void Put(const std::string& host, SessionPtr session);
  // Null: there is none.
  SessionPtr Take(const std::string& host);

 private:
  struct Host {
    std::string name;
    std::vector<SessionPtr> sessions;  // the newest last; never empty
  };
  using Hosts = std::list<Host>;

  const size_t max_hosts_;
  Lock lock_;
  // Under lock_:
  Hosts by_use_;  // the last that was used first
  std::map<std::string, Hosts::iterator> by_name_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_SESSION_CACHE_H_
