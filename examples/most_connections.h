// How many connections a server takes at a time: the limit of descriptors, less some that everything else needs. More
// wait in the kernel's backlog.
#ifndef WEFT_EXAMPLES_MOST_CONNECTIONS_H_
#define WEFT_EXAMPLES_MOST_CONNECTIONS_H_

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

inline int64_t MostConnections() {
  constexpr int64_t kReserved = 64;
  rlimit descriptors = {};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return 1;
  const rlim_t most = std::min<rlim_t>(descriptors.rlim_cur, 1'000'000);
  return std::max<int64_t>(static_cast<int64_t>(most) - kReserved, 1);
}

#endif  // WEFT_EXAMPLES_MOST_CONNECTIONS_H_
