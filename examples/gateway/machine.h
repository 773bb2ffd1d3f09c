// The resources that this machine allows a process, and those that this process uses.
#ifndef WEFT_EXAMPLES_GATEWAY_MACHINE_H_
#define WEFT_EXAMPLES_GATEWAY_MACHINE_H_

#include <cstdint>

namespace gateway {

// Resident memory of this process, in bytes.
int64_t ResidentBytes();
// Kernel stacks of all threads of the machine, in bytes; no process's resident memory shows them.
int64_t KernelStackBytes();
// OS threads of this process.
int64_t OsThreads();

// Raises the soft limit of open descriptors to the hard one, for this process and those it starts. Returns the limit.
int64_t RaiseDescriptorLimit();

// How many OS threads, up to `wanted`, this process can have at once beside those it has: starts them, and ends them
// again.
int64_t TryOsThreads(int64_t wanted);

// The stack of each thread that the baseline starts. Only what is touched takes memory.
inline constexpr int64_t kThreadStackBytes = 256 * 1024;

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_MACHINE_H_
