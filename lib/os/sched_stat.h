// Layer os. What has an OS thread had of the processors?
#ifndef WEFT_LIB_OS_SCHED_STAT_H_
#define WEFT_LIB_OS_SCHED_STAT_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace weft::internal {

struct ProcessorUse {
  int64_t ran_ns = 0;     // since it began
  int64_t waited_ns = 0;  // for a processor, since it began; a wait counts when it is over
  bool runnable = false;  // it runs, or waits for a processor
};

// Of an OS thread of this process. None if the kernel does not tell: without CONFIG_SCHED_INFO or /proc, or while the
// process is short of descriptors. Cost: two files of /proc are read, some 10 microseconds.
std::optional<ProcessorUse> UseOfProcessors(pid_t thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_SCHED_STAT_H_
