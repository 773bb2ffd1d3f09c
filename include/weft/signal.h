// Signals: receives the signals of the process as values.
//
//   weft::Signals signals({SIGINT, SIGTERM});
//   scope.ForkDaemon([&]() -> weft::Task<void> {
//     const int signal = co_await signals.Next();
//     scope.Shutdown(signal == SIGINT ? "SIGINT" : "SIGTERM");
//   });
//
// While at least one Signals object is there that wants a signal, the signal has no other effect: it does not end the
// process, and interrupts no call for good (SA_RESTART). When the last of them is destroyed, the action of before is
// back. Every object receives every signal that it wants, once. The object gets what comes after it was made; what
// comes while nobody is in Next() waits. Like the kernel's, signals of one number that come before the first of them is
// received are one.
//
// Any number of virtual threads may wait in Next(); each signal goes to one of them. Signals are received in the order
// of their numbers, if several wait.
//
// Errors. An invalid number, SIGKILL, SIGSTOP, and the signals of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
// SIGABRT, SIGSYS), which belong to the thread that raised them, are a CHECK. So are more than 64 objects at a time.
// Each object has one descriptor. The constructor CHECKs that there is one; Open() returns kResourceExhausted (EMFILE,
// ENFILE).
//
// Cancellation: Next() is a checkpoint. A signal that was taken is delivered; one that was not stays for the next call.
//
// Not for a signal that another part of the program handles with sigaction(2) itself: whoever comes last has it. A
// child that weft::Process starts has the default actions.
//
// Cost: a system call in the handler for each object that wants the signal. Nothing is allocated by Next().
#ifndef WEFT_SIGNAL_H_
#define WEFT_SIGNAL_H_

#include "weft/internal/compiler.h"

#include <initializer_list>

#include "absl/status/statusor.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/into_task.h"
#include "weft/internal/operation_awaiter.h"
#include "weft/internal/wait_kind.h"

namespace weft {

namespace internal {

class SignalSubscription;

// (lib/process/signal.cc)
class SignalCall : public OperationAwaiter, public GivesWhenAwaited<int> {
 public:
  SignalCall(DescriptorUse use, SignalSubscription& subscription) noexcept;
  SignalCall(SignalCall&&) noexcept = default;  // before it is awaited

  int await_resume() const { return OperationAwaiter::await_resume(); }

 private:
  static const WaitKind kSignal;
};

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
  internal::SignalCall Next();

 private:
  explicit Signals(internal::SignalSubscription* subscription) noexcept : subscription_(subscription) {}

  internal::SignalSubscription* subscription_;  // null: moved from
};

}  // namespace weft

#endif  // WEFT_SIGNAL_H_
