// HeldCarrier: a report of a virtual thread that has kept its carrier for too long: it computes, or calls something
// that blocks its OS thread, such as read() on a file or std::mutex::lock(). Others may be late because of it.
//
//   auto runtime = weft::Runtime::Create({
//       .on_held_carrier = [](const weft::HeldCarrier& held) { LOG(WARNING) << held.ToString(); }});
//
// or without a change to the program: WEFT_TRACE_PINNED=1 prints each report on standard error.
//
// A watchdog, one OS thread for each runtime, looks at the carriers some hundred times a second, and not at all while
// none is awake. A carrier that has run one virtual thread for longer than RuntimeOptions::held_carrier_threshold is
// held: it is counted (RuntimeStats::held_carriers) and reported, once for each hold. Time that its OS thread has spent
// waiting for a processor does not count. If other virtual threads are runnable, or have timers or I/O that nobody else
// serves, a spare carrier runs them for as long as the hold lasts; with those for destructors there are never more than
// max_pool_size carriers. (A destructor that waits for a scope's children is no hold: RuntimeStats::pins.)
//
// What to do about it: give what blocks to weft::Blocking(), let what computes for long co_await weft::Yield() now and
// then, and use weft::Mutex in place of std::mutex where a holder may wait.
//
// Cost: a carrier pays one atomic exchange when it wakes from a sleep. Without on_held_carrier and WEFT_TRACE_PINNED
// nobody asks for the stack. Otherwise the OS thread is interrupted by SIGURG, once for each hold: a system call that
// is not restarted after a signal (poll, nanosleep; signal(7) has the list) may then return EINTR to the code that
// holds the carrier. A program that handles SIGURG itself gets reports without stacks.
#ifndef WEFT_HELD_CARRIER_H_
#define WEFT_HELD_CARRIER_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace weft {

struct HeldCarrier {
  int carrier = 0;           // index
  absl::Duration held;       // so far
  // The virtual thread. 0 if it is not known: the stack was not to be had, or the hold was over by then.
  uint64_t thread = 0;
  std::string_view name;     // empty if it has none. Valid during the call only, like the stack
  // Where the OS thread is, the innermost call first: program counters. Empty if it is not known, for the same reasons.
  // Coroutines that await the one which runs are not on it.
  absl::Span<void* const> stack;

  // "VirtualThread[#7,name] has held carrier 0 for 25ms" and the stack, a line for each call: the name of the function,
  // if the program has symbols, and its object and address; tools/symbolize makes a file and a line of these. Takes
  // some milliseconds, and the first time leaves the files of the program and of its libraries open, a descriptor each.
  std::string ToString() const;
};

}  // namespace weft

#endif  // WEFT_HELD_CARRIER_H_
