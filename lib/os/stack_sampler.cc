#include "lib/os/stack_sampler.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cerrno>
#include <cstdint>
#include <mutex>

#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/os/global_lock.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

constexpr int kSignal = SIGURG;

// One question at a time. The word says how far it is: its number, and what is done about it.
//
//   from     by                  to
//   kIdle    SampleStack()       kAsked
//   kAsked   the handler         kTaken, if the number is that of its signal
//   kAsked   SampleStack()       kIdle: it has waited for long enough. A signal that comes later finds another number
//   kTaken   the handler         kDone, and wakes
//   kDone    SampleStack()       kIdle
enum Step : uint32_t { kIdle, kAsked, kTaken, kDone };
constexpr uint32_t kSteps = 4;

struct Question {
  GlobalLock lock;
  uint32_t number = 0;  // guarded by lock
  Atomic<uint32_t> word{kIdle};
  // Written before kAsked.
  StackSample* sample = nullptr;
  void (*note)(void*) noexcept = nullptr;
  void* argument = nullptr;
  uintptr_t interrupted_at = 0;  // the handler's
};
constinit Question question;

uint32_t Word(uint32_t number, Step step) noexcept { return number * kSteps + step; }

_Unwind_Reason_Code AddFrame(_Unwind_Context* context, void* argument) {
  auto& sample = *static_cast<StackSample*>(argument);
  const uintptr_t at = _Unwind_GetIP(context);
  if (at == 0 || sample.depth == StackSample::kMaxFrames) return _URC_END_OF_STACK;
  // What is above the interrupted function is the handler's.
  if (at == question.interrupted_at) sample.depth = 0;
  sample.frames[sample.depth++] = reinterpret_cast<void*>(at);
  return _URC_NO_REASON;
}

uintptr_t ProgramCounter(void* context) noexcept {
  const auto* const interrupted = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return static_cast<uintptr_t>(interrupted->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(interrupted->uc_mcontext.pc);
#else
  static_cast<void>(interrupted);
  return 0;  // the handler's own frames are shown as well
#endif
}

void OnSignal(int, siginfo_t* info, void* context) noexcept {
  if (info->si_code != SI_QUEUE || info->si_pid != ::getpid()) return;
  const auto number = static_cast<uint32_t>(info->si_value.sival_int);
  uint32_t expected = Word(number, kAsked);
  // [stack/2] acquire: pairs with [stack/1]. relaxed on failure: somebody else's signal, or one that came too late.
  if (!question.word.compare_exchange_strong(expected, Word(number, kTaken), std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
    return;
  }
  const int saved_errno = errno;
  question.interrupted_at = ProgramCounter(context);
  _Unwind_Backtrace(&AddFrame, question.sample);
  question.note(question.argument);
  question.word.store(Word(number, kDone), std::memory_order_release);  // [stack/3] release: pairs with [stack/4]
  FutexWake(question.word, 1);
  errno = saved_errno;
}

// Once, under the lock. False: the program has a handler of its own.
bool InstallHandler() noexcept {
  struct sigaction present = {};
  if (::sigaction(kSignal, nullptr, &present) != 0) return false;
  const bool simple = (present.sa_flags & SA_SIGINFO) == 0;
  if (!simple) return present.sa_sigaction == &OnSignal;
  if (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN) return false;
  // The unwinder's own first use may take memory and locks: not in the handler.
  StackSample warm_up;
  _Unwind_Backtrace(&AddFrame, &warm_up);
  struct sigaction ours = {};
  ours.sa_sigaction = &OnSignal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  return ::sigaction(kSignal, &ours, nullptr) == 0;
}

}  // namespace

constinit int64_t g_sample_patience_ns = 1'000'000'000;

bool SampleStack(pthread_t thread, StackSample& sample, void (*note)(void* argument) noexcept,
                 void* argument) noexcept {
  std::lock_guard guard(question.lock);
  if (!InstallHandler()) return false;
  const uint32_t number = ++question.number;
  sample.depth = 0;
  question.sample = &sample;
  question.note = note;
  question.argument = argument;
  // [stack/1] release: pairs with [stack/2].
  question.word.store(Word(number, kAsked), std::memory_order_release);
  sigval value = {};
  value.sival_int = static_cast<int>(number);
  const bool sent = ::pthread_sigqueue(thread, kSignal, value) == 0;
  const int64_t deadline_ns = sent ? Clock::Real().NowNanos() + g_sample_patience_ns : 0;
  bool patient = sent;
  for (;;) {
    // [stack/4] acquire: pairs with [stack/3].
    uint32_t word = question.word.load(std::memory_order_acquire);
    if (word == Word(number, kDone)) return true;
    if (patient || word == Word(number, kTaken)) {
      patient = FutexWait(question.word, word, deadline_ns) != FutexOutcome::kTimedOut;
      continue;
    }
    // relaxed: nothing was written for anybody.
    if (question.word.compare_exchange_strong(word, kIdle, std::memory_order_relaxed)) return false;
  }
}

}  // namespace weft::internal
