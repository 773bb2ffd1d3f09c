// Signals: receives the signals of the process as values.
//
//   weft::Signals signals({SIGINT, SIGTERM});
//   scope.ForkDaemon([&]() -> weft::Task<void> {
//     const int signal = co_await signals.Next();
//     scope.Shutdown(signal == SIGINT ? "SIGINT" : "SIGTERM");
//   });
//
// While at least one Signals object is there that wants a signal, the signal has no other effect: it does not end the
// process, and a call that it interrupts goes on (SA_RESTART). A few end with EINTR all the same: poll(2),
// epoll_wait(2), nanosleep(2), those on a socket with a time limit, and others (signal(7)). When the last object is
// destroyed, the action of before is back (for SIGPIPE, see weft/io/pipe.h). Every object receives every signal that it
// wants, once. The object gets what comes after it was made; what comes while nobody is in Next() waits. Like the
// kernel's, signals of one number that come before the first of them is received are one.
//
// Any number of virtual threads may wait in Next(); each signal goes to one of them. Signals are received in the order
// of their numbers, if several wait.
//
// Errors. An invalid number, SIGKILL, SIGSTOP, and the signals of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
// SIGABRT, SIGSYS), which belong to the thread that raised them, are a CHECK. So are more than 64 objects at a time.
// Each object has one descriptor. The constructor CHECKs that there is one; Open() returns kResourceExhausted (EMFILE,
// ENFILE). Next() has no errors: where the kernel has not the means for its wait (ENOSPC of epoll, ENOMEM), it looks
// again after pauses of 5 ms to 1 s.
//
// Cancellation: Next() is a checkpoint. A signal that was taken is delivered; one that was not stays for the next call.
//
// Not for a signal that another part of the program handles with sigaction(2) itself: whoever comes last has it. A
// child that weft::Process starts has the default actions. In a child of fork(2) an object that it inherited receives
// nothing, and Next() of it is a CHECK; until the child destroys it, its signals have no effect there.
//
// Cost: a system call in the handler for each object that wants the signal. Next() is a coroutine.
#ifndef WEFT_SIGNAL_H_
#define WEFT_SIGNAL_H_

#include "weft/internal/compiler.h"

#include <initializer_list>

#include "absl/status/statusor.h"
#include "weft/task.h"

namespace weft {

namespace internal {
class SignalSubscription;
}  // namespace internal

// (lib/process/signal.cc)
class Signals {
 public:
  explicit Signals(std::initializer_list<int> signals);
  static absl::StatusOr<Signals> Open(std::initializer_list<int> signals);

  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&& other) noexcept;  // the two change places
  // Not while a thread is in Next().
  ~Signals();

  // Waits for a signal, and returns its number.
  Task<int> Next();

 private:
  explicit Signals(internal::SignalSubscription* subscription) noexcept : subscription_(subscription) {}

  internal::SignalSubscription* subscription_;  // null: moved from
};

}  // namespace weft

#endif  // WEFT_SIGNAL_H_
