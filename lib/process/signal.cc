#include "weft/signal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/io/call_awaiter.h"
#include "lib/io/sigpipe.h"
#include "lib/os/global_lock.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "lib/process/running_handlers.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/wait_kind.h"
#include "weft/task.h"
#include "weft/time.h"

// How does a signal get from the handler, which may do next to nothing, to a virtual thread?
//
// Each object has a place in a table: the set of signals that are pending for it, and an eventfd, which counts tokens.
//
//   the handler                       a SignalCall
//   1. the signal is pending          3. takes a token; if there is none, waits for one
//   2. adds a token                   4. takes a pending signal; if there is none, goes on with 3
//
// None is lost. There are never fewer tokens, with those that a handler is about to add, than pending signals: each
// signal that becomes pending brings one, and a token is taken in vain only if no signal is pending. So while a signal
// is pending the eventfd is ready, or is about to be, and whoever waits makes the call again. It is the tokens that
// must not be drained all at once: then the eventfd would not be ready any more, and a second thread that waits would
// not learn of a second signal.
//
// The handler finds the places while objects come and go: running_handlers.h.

namespace weft {
namespace {

using internal::Atomic;
using internal::Sys;

constexpr int kPlaces = 64;
constexpr int kSignals = 64;

struct Place {
  Atomic<uint64_t> wanted{0};   // 0: nobody has the place
  Atomic<uint64_t> pending{0};  // relaxed: the calls on the eventfd order it
  Atomic<int> eventfd{-1};      // relaxed: whoever finds the place finds it. -1: the parent has it
};

struct Handled {
  int objects = 0;
  struct sigaction before = {};
};

constinit internal::GlobalLock registry_lock;
constinit internal::RunningHandlers handlers;
constinit Place places[kPlaces];
constinit Handled handled[kSignals + 1];  // by number; guarded by registry_lock

constexpr uint64_t Bit(int signal) noexcept { return uint64_t{1} << (signal - 1); }

void Handle(int signal) noexcept {
  const int saved_errno = errno;
  handlers.Enter();
  for (Place& place : places) {
    if ((internal::RunningHandlers::Find(place.wanted) & Bit(signal)) == 0) continue;
    const int eventfd = place.eventfd.load(std::memory_order_relaxed);
    if (eventfd < 0) continue;
    place.pending.fetch_or(Bit(signal), std::memory_order_relaxed);
    constexpr uint64_t kOne = 1;
    // Fails only with 2^64 tokens in it.
    static_cast<void>(!Sys().write(eventfd, &kOne, sizeof(kOne)));
  }
  handlers.Leave();
  errno = saved_errno;
}

// In a child of fork(2), while it has one thread: nobody there waits for what the parent wants, and the number of its
// eventfd may soon be another descriptor's.
void ForgetParent() noexcept {
  handlers.ForgetOthers();
  for (Place& place : places) {
    place.eventfd.store(-1, std::memory_order_relaxed);
    place.pending.store(0, std::memory_order_relaxed);
  }
}

bool IsFault(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGSYS:
      return true;
    default:
      return false;
  }
}

uint64_t SetOf(std::initializer_list<int> signals) {
  uint64_t set = 0;
  for (const int signal : signals) {
    WEFT_CHECK(signal >= 1 && signal <= kSignals && signal != SIGKILL && signal != SIGSTOP)
        << "Signals: " << signal << " is not the number of a signal that can be received";
    WEFT_CHECK(!IsFault(signal)) << "Signals: signal " << signal << " belongs to the thread whose fault raised it";
    set |= Bit(signal);
  }
  return set;
}

// With registry_lock held, for each signal of a set.
void AddObject(int signal) noexcept {
  Handled& of_signal = handled[signal];
  if (of_signal.objects++ > 0) return;
  struct sigaction action = {};
  action.sa_handler = [](int number) { Handle(number); };
  // On the stack for handlers, if the thread has one: a thread of other code may have next to no room on its own.
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigfillset(&action.sa_mask);
  WEFT_CHECK(::sigaction(signal, &action, &of_signal.before) == 0)
      << "Signals: sigaction of signal " << signal << " failed with errno " << errno;
}

void RemoveObject(int signal) noexcept {
  Handled& of_signal = handled[signal];
  if (--of_signal.objects != 0) return;
  if (signal == SIGPIPE) {
    internal::PutBackSigpipe(of_signal.before);
  } else {
    ::sigaction(signal, &of_signal.before, nullptr);
  }
}

template <class Function>
void ForEach(uint64_t set, const Function& function) noexcept {
  for (int signal = 1; signal <= kSignals; ++signal) {
    if ((set & Bit(signal)) != 0) function(signal);
  }
}

// With registry_lock held.
Place& FreePlace() {
  static const int registered = ::pthread_atfork(nullptr, nullptr, &ForgetParent);
  WEFT_CHECK(registered == 0) << "pthread_atfork failed with errno " << registered;
  for (Place& place : places) {
    // relaxed: the lock is held.
    if (place.wanted.load(std::memory_order_relaxed) == 0) return place;
  }
  WEFT_CHECK(false) << "Signals: more than " << kPlaces << " objects at a time";
  return places[0];
}

}  // namespace

namespace internal {

class SignalSubscription {
 public:
  // With registry_lock held. `eventfd` is a semaphore.
  SignalSubscription(OwnedDescriptor eventfd, uint64_t set) noexcept
      : place_(FreePlace()), set_(set), eventfd_(std::move(eventfd)) {
    place_.pending.store(0, std::memory_order_relaxed);
    place_.eventfd.store(eventfd_.native_handle(), std::memory_order_relaxed);
    RunningHandlers::Show(place_.wanted, set);
    ForEach(set, AddObject);
  }
  SignalSubscription(const SignalSubscription&) = delete;
  SignalSubscription& operator=(const SignalSubscription&) = delete;
  ~SignalSubscription() {
    std::lock_guard guard(registry_lock);
    ForEach(set_, RemoveObject);
    RunningHandlers::Hide(place_.wanted);
    handlers.AwaitNone();
  }

  // In a child of fork(2) the tokens are the parent's.
  DescriptorUse Use() const {
    WEFT_CHECK(forks_ == ForksSoFar()) << "Signals::Next() in a child of fork() of an object that it has inherited; "
                                          "make another one here";
    return eventfd_.Use("Signals::Next()");
  }

  // A SignalCall.
  static int32_t Take(int fd, void* subscription) noexcept {
    Place& place = static_cast<SignalSubscription*>(subscription)->place_;
    uint64_t token;
    while (Sys().read(fd, &token, sizeof(token)) >= 0) {
      for (int signal = 1; signal <= kSignals; ++signal) {
        // Two calls at once may see it, and one gets it.
        if ((place.pending.load(std::memory_order_relaxed) & Bit(signal)) != 0 &&
            (place.pending.fetch_and(~Bit(signal), std::memory_order_relaxed) & Bit(signal)) != 0) {
          return signal;
        }
      }
    }
    return -errno;
  }

 private:
  Place& place_;
  const uint64_t set_;
  const OwnedDescriptor eventfd_;
  const uint32_t forks_ = ForksSoFar();
};

namespace {

class SignalCall : public CallAwaiter {
 public:
  SignalCall(DescriptorUse use, SignalSubscription& subscription) noexcept
      : CallAwaiter(IoRequest::CallWhenReadable({&SignalSubscription::Take, &subscription}), std::move(use), kSignal) {}

 private:
  static const WaitKind kSignal;
};

const WaitKind SignalCall::kSignal = {ParkReason::kSignal, /*timed=*/false, &SignalCall::Withdraw};

// Where a wait lacks something: those of an accept() (lib/io/accept_retry.h).
constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

Task<int> NextOf(SignalSubscription* subscription) {
  for (absl::Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const int32_t result = co_await SignalCall(subscription->Use(), *subscription);
    if (result >= 0) co_return result;
    WEFT_CHECK(result != -EBADF) << "Next() of Signals that were destroyed meanwhile";
    co_await Sleep(pause);
  }
}

}  // namespace
}  // namespace internal

absl::StatusOr<Signals> Signals::Open(std::initializer_list<int> signals) {
  const uint64_t set = SetOf(signals);
  WEFT_CHECK(set != 0) << "Signals: no signal is wanted";
  internal::OwnedDescriptor descriptor = internal::OwnedDescriptor::Empty();
  if (!descriptor) return internal::ErrnoToStatus(ENOMEM, "Signals");
  const int fd = Sys().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
  if (fd < 0) return internal::ErrnoToStatus(errno, "eventfd for Signals");
  descriptor.Open(fd);
  std::lock_guard guard(registry_lock);
  return Signals(new internal::SignalSubscription(std::move(descriptor), set));
}

Signals::Signals(std::initializer_list<int> signals) : subscription_(nullptr) {
  absl::StatusOr<Signals> opened = Open(signals);
  WEFT_CHECK(opened.ok()) << opened.status();
  *this = *std::move(opened);
}

Signals::Signals(Signals&& other) noexcept : subscription_(std::exchange(other.subscription_, nullptr)) {}

Signals& Signals::operator=(Signals&& other) noexcept {
  std::swap(subscription_, other.subscription_);
  return *this;
}

Signals::~Signals() { delete subscription_; }

Task<int> Signals::Next() {
  WEFT_CHECK(subscription_ != nullptr) << "Next() of Signals that were moved from";
  return internal::NextOf(subscription_);
}

}  // namespace weft
