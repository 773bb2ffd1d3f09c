#include "weft/testing/census.h"

#include <dirent.h>
#include <sched.h>

#include <ostream>

#include "lib/coro/frame_cache.h"
#include "lib/runtime/runtime_core.h"
#include "lib/testing/machine/kernel.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"

namespace weft::testing {
namespace {

int64_t OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  WEFT_CHECK(directory != nullptr) << "/proc/self/fd cannot be read";
  int64_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count - 3;  // ".", "..", and the directory itself
}

// Does a root begin or end just now, or an OS thread wait for one?
bool Unsettled() {
  bool any = false;
  internal::RuntimeCore::ForEach(
      [](internal::RuntimeCore& runtime, void* found) { *static_cast<bool*>(found) |= runtime.roots.unsettled(); },
      &any);
  return any;
}

}  // namespace

Census Census::Take() {
  // A virtual thread that takes the census is itself such a root, or under one.
  while (internal::CurrentCarrier() == nullptr && Unsettled()) sched_yield();
  Census census;
  internal::RuntimeCore::ForEach(
      [](internal::RuntimeCore& runtime, void* argument) {
        auto& sum = *static_cast<Census*>(argument);
        const internal::RuntimeCounts counts = runtime.Counts();
        ++sum.runtimes;
        sum.virtual_threads += counts.threads;
        sum.waiters += counts.waiters;
        sum.timers += counts.timers;
        sum.operations += counts.operations;
      },
      &census);
  census.frames = internal::LiveFrames();
  census.frame_bytes = internal::LiveFrameBytes();
  census.descriptors = OpenDescriptors();
  if (const auto* const machine = internal::machine::Kernel::Here()) {
    census.descriptors += static_cast<int64_t>(machine->descriptors.count());
  }
  return census;
}

std::ostream& operator<<(std::ostream& out, const Census& census) {
  return out << census.runtimes << " runtimes, " << census.virtual_threads << " virtual threads, " << census.frames
             << " frames (" << census.frame_bytes << " bytes), " << census.waiters << " waiters, " << census.timers
             << " timers, " << census.operations << " operations, " << census.descriptors << " descriptors";
}

}  // namespace weft::testing
