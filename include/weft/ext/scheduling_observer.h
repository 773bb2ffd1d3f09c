// SchedulingObserver: hooks by which a tool follows virtual threads, for timelines, traces and tests. This header is
// for people who extend Weft; its promise is weaker than that of the others.
//
//   class Timeline : public weft::ext::SchedulingObserver {
//     void OnMount(const weft::ext::ThreadEvent& event) noexcept override { ... }
//   };
//   weft::Runtime::Create({.observer = &timeline});
//
// Carriers make the calls, synchronously, from many OS threads at once. A call must not block, allocate much, call back
// into Weft, or throw. The calls for one virtual thread are ordered: start, then mount and unmount in turn, then end.
//
// Cost: without an observer, one predicted branch per dispatch.
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
  // For OnUnmount(): what the thread waits in, such as "Mutex::Lock", and the co_await of that wait. waits_in is empty
  // if the thread does not wait; line() is 0 if the co_await is not known.
  std::string_view waits_in = {};
  std::source_location waits_at = {};
};

class SchedulingObserver {
 public:
  virtual ~SchedulingObserver() = default;
  virtual void OnStart(const ThreadEvent&) noexcept {}    // made runnable for the first time
  virtual void OnMount(const ThreadEvent&) noexcept {}    // begins to run on `carrier`
  virtual void OnUnmount(const ThreadEvent&) noexcept {}  // stops running: parked, yielded or ended
  // Comes after the last OnUnmount(). The thread's frames are gone. Its closure, and a result that nobody can read, are
  // destroyed later.
  virtual void OnEnd(const ThreadEvent&) noexcept {}

  // The thread is at a checkpoint, and has not looked yet whether it is cancelled. For tests that cancel at each in
  // turn.
  virtual void OnCheckpoint(uint64_t thread) noexcept { static_cast<void>(thread); }
};

}  // namespace weft::ext

#endif  // WEFT_EXT_SCHEDULING_OBSERVER_H_
