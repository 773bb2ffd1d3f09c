// Layer os. How many processors may this process use?
//
// As many as its affinity mask names, and no more than the CPU quota of its cgroup pays for. A container that is
// limited to two processors sees all those of its machine; carriers for all of them would use the quota up in a part of
// each period, and then be stopped for the rest of it (throttled), all at once.
//
// The quota is that of the cgroup or of one above it, whichever is least: cpu.max (version 2), cpu.cfs_quota_us and
// cpu.cfs_period_us (version 1, and hybrids of both). Where the files are is read from /proc/self/mountinfo, and which
// group it is from /proc/self/cgroup. Half a processor counts as one, one and a half as two, like in the JDK and in Go.
//
// Read once by whoever asks: a quota that is changed afterwards counts at the next start.
#ifndef WEFT_LIB_OS_CPU_H_
#define WEFT_LIB_OS_CPU_H_

#include <string>

namespace weft::internal {

// At least 1. `root` is where /proc and the mounts are found; a test has another one.
int UsableCpus(const std::string& root = "");

// The quota, in processors, rounded up; 0: there is none. What cannot be read or understood is no limit.
int CpuQuota(const std::string& root);

// What the default of RuntimeOptions::parallelism reads. Written by tests.
extern const char* g_cpu_root;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_CPU_H_
