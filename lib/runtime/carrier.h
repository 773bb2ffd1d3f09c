// Layer runtime. A carrier: an OS thread, or a fiber in a simulation, that runs virtual threads.
//
// Its loop takes a runnable thread and runs it until it can go on no further, again and again. Between two threads it
// looks after timers and completions. If there is nothing to run it searches, and then sleeps, by the idle protocol
// (idle_carriers.h). A carrier consists of
//
//   Turn           what is known of the mounted thread, and what that asks    turn.h
//   RunQueue       which thread is next                                       run_queue.h
//   Duties         timers, completions, others that compute                   duties.h
//   InPlaceJoins   threads that run in another's place                        in_place_joins.h
//   Dispatch       what becomes of a thread in its turn                       dispatch.h
//   Carrier        the loop
//
// Carrier derives from Dispatch, Dispatch from InPlaceJoins, and InPlaceJoins from Turn. They are one object, so that a
// fork or a join goes from part to part without an indirection. The run queue and the duties are members.
//
// Everything is the carrier's own, except the members under "Shared".
#ifndef WEFT_LIB_RUNTIME_CARRIER_H_
#define WEFT_LIB_RUNTIME_CARRIER_H_

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "lib/lockfree/idle_carriers.h"
#include "lib/runtime/dispatch.h"

namespace weft::internal {

class Carrier;

// initial-exec: this is part of the program or of a library that it was linked with, and one instruction finds it.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local Carrier* current_carrier;

class Carrier final : public Dispatch {
 public:
  // Null: no memory.
  static std::unique_ptr<Carrier> Make(RuntimeCore& runtime, uint32_t index) noexcept;

  // The carrier on this OS thread, or null. Not for code that is inlined into coroutines, which may go on on another OS
  // thread.
  static Carrier* Current() noexcept { return current_carrier; }
  // Same, where a virtual thread is mounted, checked: "<what> outside a virtual thread; ...".
  static Carrier& Require(const char* what) noexcept {
    Carrier* const carrier = Current();
    if (carrier == nullptr || carrier->current == nullptr) [[unlikely]]
      DieOutsideThread(what);
    return *carrier;
  }
  // For hosts that run several carriers on one OS thread.
  static void SetCurrent(Carrier* carrier) noexcept { current_carrier = carrier; }

  // Runs threads until the runtime stops.
  void Main() noexcept;
  // Sleeps until it is rung, an operation ends, or the deadline comes.
  void ParkUntil(int64_t deadline_ns) noexcept;
  // Since the last call? Then others may not know that it is awake. (duties.h)
  bool HasSlept() noexcept { return std::exchange(has_slept_, false); }
  // If so, it tells them, before it goes on with what nobody else was told of.
  void TellIfSlept() noexcept;

  int pinned_threads = 0;  // that live here

  // ---- Shared.
  IdleCarriers::Member idle;
  // The OS thread that runs it, for the watchdog. Constant from when other threads know the carrier.
  struct {
    pthread_t handle;
    pid_t id;
  } os_thread = {};

 private:
  using Dispatch::Dispatch;

  [[noreturn, gnu::cold, gnu::noinline]] static void DieOutsideThread(const char* what) noexcept;
  bool Step() noexcept;
  bool RunNext() noexcept;
  bool RunAfterPoll() noexcept;
  bool RunPinned(ThreadBlock* thread) noexcept;
  void Run(ThreadBlock& thread) noexcept;
  void RunStolen(ThreadBlock& thread) noexcept;
  void Doze() noexcept;
  void Idle() noexcept;
  void Search() noexcept;
  void Retire() noexcept;
  void ForcePublication() noexcept;

  uint32_t calms_ = 0;      // RuntimeCore::calms when it last looked
  bool has_slept_ = false;  // since HasSlept()
  bool retired_ = false;    // it might not run when it last looked
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CARRIER_H_
