// Hooks by which a tool follows virtual threads: timelines, traces, tests. For people who extend Weft; weaker promise.
//
// The calls are made by the carriers, synchronously, from many OS threads at once; they must not block, allocate in earnest,
// call back into Weft, or throw. Within one virtual thread they are ordered: start, then mount and unmount in turn, then end.
//
// Cost: one predicted branch a dispatch where no observer is set.
#ifndef WEFT_EXT_SCHEDULING_OBSERVER_H_
#define WEFT_EXT_SCHEDULING_OBSERVER_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>
#include <string_view>


namespace weft::ext {

struct ThreadEvent {
  uint64_t thread;        // id of the virtual thread
  std::string_view name;  // empty if it has none; valid during the call only
  int carrier;            // index of the carrier that makes the call; -1: not a carrier
  int64_t time_ns;        // on the runtime's clock
  // Of OnUnmount(): what it waits in, such as "Mutex::Lock", and the co_await that it does so in. Empty if it waits in
  // nothing; line() is 0 where the co_await is not known.
  std::string_view waits_in = {};
  std::source_location waits_at = {};
};

class SchedulingObserver {
 public:
  virtual ~SchedulingObserver() = default;
  virtual void OnStart(const ThreadEvent&) noexcept {}    // made runnable for the first time
  virtual void OnMount(const ThreadEvent&) noexcept {}    // begins to run on `carrier`
  virtual void OnUnmount(const ThreadEvent&) noexcept {}  // stops running: parked, yielded or ended
  // After its last OnUnmount(): its frames are gone. What it was forked with, and a result that nobody reads, are
  // destroyed after that.
  virtual void OnEnd(const ThreadEvent&) noexcept {}

  // A virtual thread is at a checkpoint, about to look whether it is cancelled. For tests that cancel at each in turn.
  virtual void OnCheckpoint(uint64_t thread) noexcept { static_cast<void>(thread); }
};

}  // namespace weft::ext

#endif  // WEFT_EXT_SCHEDULING_OBSERVER_H_
