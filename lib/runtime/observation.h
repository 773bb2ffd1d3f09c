// Layer runtime. What one carrier tells the runtime's SchedulingObserver about the threads that it runs.
#ifndef WEFT_LIB_RUNTIME_OBSERVATION_H_
#define WEFT_LIB_RUNTIME_OBSERVATION_H_

#include <cstdint>
#include <source_location>

#include "weft/ext/scheduling_observer.h"
#include "weft/internal/compiler.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class RuntimeCore;

class Observation {
 public:
  Observation(RuntimeCore& runtime, uint32_t carrier_index) noexcept;
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

  // Is there an observer? If not, the functions below must not be called.
  bool on() const noexcept { return observer_ != nullptr; }

  WEFT_RARE void Start(const ThreadBlock& thread) noexcept;
  WEFT_RARE void Start(const BranchSeed& seed) noexcept;
  WEFT_RARE void Mount(const ThreadBlock& thread) noexcept;
  WEFT_RARE void Unmount(const ThreadBlock& thread) noexcept;
  void Checkpoint(const ThreadBlock& thread) noexcept { observer_->OnCheckpoint(thread.id); }
  void End(const ThreadBlock& thread) noexcept;

  // In a child of fork(2): what needs the scheduler is refused from now on. (fork.cc)
  void Replace(ext::SchedulingObserver& observer) noexcept { observer_ = &observer; }

  std::source_location waits_at;  // of the last wait that was entered here

 private:
  RuntimeCore& runtime_;
  const int index_;
  ext::SchedulingObserver* observer_;  // constant, except for Replace()
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_OBSERVATION_H_
