// Layer process. How is a child made?
//
// By posix_spawn(3), which needs no copy of the memory and calls nothing of ours in the child. Everything that is
// passed to it is prepared before, so this may run on an OS thread of the pool.
#ifndef WEFT_LIB_PROCESS_SPAWN_H_
#define WEFT_LIB_PROCESS_SPAWN_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/io/unique_descriptor.h"
#include "weft/process.h"

namespace weft::internal {

struct Spawned {
  pid_t id = 0;
  io::UniqueDescriptor pidfd;
  io::UniqueDescriptor input, output, error;  // the parent's ends of pipes, in blocking mode; others are not open
};

// Blocks until the new program is there, or is not.
absl::StatusOr<Spawned> Spawn(const std::vector<std::string>& arguments, const Process::Options& options);

}  // namespace weft::internal

#endif  // WEFT_LIB_PROCESS_SPAWN_H_
