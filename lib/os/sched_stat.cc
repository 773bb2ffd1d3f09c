#include "lib/os/sched_stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>

namespace weft::internal {

// Not through Sys(): a failure needs no handling.
int64_t WaitedForProcessor(pid_t thread) noexcept {
  char text[96];
  std::snprintf(text, sizeof(text), "/proc/self/task/%d/schedstat", thread);
  const int fd = ::open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t bytes = ::read(fd, text, sizeof(text) - 1);
  ::close(fd);
  if (bytes <= 0) return 0;
  text[bytes] = '\0';
  int64_t ran_ns = 0, waited_ns = 0;
  return std::sscanf(text, "%" SCNd64 " %" SCNd64, &ran_ns, &waited_ns) == 2 ? waited_ns : 0;
}

}  // namespace weft::internal
