// Layer os. How long has an OS thread waited for a processor?
#ifndef WEFT_LIB_OS_SCHED_STAT_H_
#define WEFT_LIB_OS_SCHED_STAT_H_

#include <sys/types.h>

#include <cstdint>

namespace weft::internal {

// Nanoseconds since it began, of an OS thread of this process. 0 if the kernel does not tell (CONFIG_SCHED_INFO). Reads
// /proc/self/task/*/schedstat: some microseconds.
int64_t WaitedForProcessor(pid_t thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_SCHED_STAT_H_
