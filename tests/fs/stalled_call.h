// A call of the kernel's that, when the pool makes it, waits for the test.
//
//   StalledCall<&Syscalls::pread> stalled;
//   ... co_await stalled.Begun(); ... stalled.Go();
#ifndef WEFT_TESTS_FS_STALLED_CALL_H_
#define WEFT_TESTS_FS_STALLED_CALL_H_

#include <sched.h>

#include <atomic>
#include <map>
#include <type_traits>

#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "weft/cancellation.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {

template <auto kEntry, class Function = std::remove_cvref_t<decltype(internal::RealSyscalls().*kEntry)>>
class StalledCall;

template <auto kEntry, class Result, class... Args>
class StalledCall<kEntry, Result (*)(Args...)> {
 public:
  StalledCall() : syscalls_(TableOn(internal::Sys())) {
    begun = false;
    go = kNot;
  }
  // Until it was called.
  Task<void> Begun() {
    while (!begun) co_await Yield();
  }
  // It goes on, and later ones are not held up.
  void Go() { go = kNow; }
  // Same, once the thread that awaits it is asked to end: a request takes its time.
  void GoOnceAsked() { go = kOnceAsked; }

 private:
  enum Gate { kNot, kOnceAsked, kNow };

  static Result Call(Args... args) {
    if (internal::CallingThread() != nullptr) {
      begun = true;
      // In a simulation others run in CancelRequested().
      while (!(CancelRequested() && go == kOnceAsked) && go != kNow) sched_yield();
    }
    return call.load()(args...);
  }
  // The table that was in force, the kernel's or a machine's, but for this call. Kept, for threads that may be in it.
  static const internal::Syscalls& TableOn(const internal::Syscalls& beneath) {
    static std::map<const internal::Syscalls*, internal::Syscalls> tables;
    call = beneath.*kEntry;
    internal::Syscalls& table = tables.try_emplace(&beneath, beneath).first->second;
    if (table.*kEntry != &Call) table.*kEntry = &Call;
    return table;
  }

  static inline std::atomic<Result (*)(Args...)> call = nullptr;
  static inline std::atomic<bool> begun = false;
  static inline std::atomic<Gate> go = kNot;
  internal::ScopedSyscalls syscalls_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_FS_STALLED_CALL_H_
