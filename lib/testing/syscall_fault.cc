#include "lib/testing/syscall_fault.h"

#include <cerrno>
#include <cstddef>
#include <mutex>
#include <type_traits>

#include "lib/os/global_lock.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

struct Fault {
  bool installed = false;
  int64_t calls = 0;
  ScopedSyscallFault::Options options;
};

// A lock, because counting and deciding are one step; it costs less than the calls it guards.
constinit GlobalLock lock;
constinit Fault faults[sizeof(Syscalls) / sizeof(void*)];
constinit int installed_faults = 0;
// The table that was in force before, which calls that do not fail go through. relaxed: see [syscalls/4].
constinit Atomic<const Syscalls*> beneath{nullptr};

// The errno with which this call fails, or 0.
int NextError(size_t index) noexcept {
  std::lock_guard guard(lock);
  Fault& fault = faults[index];
  if (!fault.installed) return 0;
  const int64_t call = ++fault.calls;
  return call >= fault.options.first && call - fault.options.first < fault.options.times ? fault.options.error : 0;
}

// What a failing entry returns: -1 with errno set, or null where it returns a pointer, except for those listed here.
enum class Failure { kMinusOne, kError, kMinusError };
template <auto kEntry>
constexpr Failure kFailure = Failure::kMinusOne;
template <>
constexpr Failure kFailure<&Syscalls::pthread_create> = Failure::kError;
template <>
constexpr Failure kFailure<&Syscalls::posix_spawnp> = Failure::kError;
template <>
constexpr Failure kFailure<&Syscalls::getaddrinfo> = Failure::kMinusError;
template <>
constexpr Failure kFailure<&Syscalls::io_uring_setup> = Failure::kMinusError;
template <>
constexpr Failure kFailure<&Syscalls::io_uring_enter> = Failure::kMinusError;
template <>
constexpr Failure kFailure<&Syscalls::io_uring_register> = Failure::kMinusError;
template <>
constexpr Failure kFailure<&Syscalls::io_uring_dontfork> = Failure::kMinusError;

template <size_t kIndex, auto kEntry, class Function>
struct Faulty;

template <size_t kIndex, auto kEntry, class Result, class... Args>
struct Faulty<kIndex, kEntry, Result (*)(Args...)> {
  static Result Call(Args... args) {
    const int error = NextError(kIndex);
    if (error == 0) return (beneath.load(std::memory_order_relaxed)->*kEntry)(args...);
    if constexpr (kFailure<kEntry> == Failure::kError) return error;
    if constexpr (kFailure<kEntry> == Failure::kMinusError) return -error;
    errno = error;
    if constexpr (std::is_pointer_v<Result>) {
      return nullptr;
    } else {
      return -1;
    }
  }
};

constexpr Syscalls kFaultySyscalls = {
#define WEFT_FAULTY_SYSCALL(result, name, parameters) \
  .name = Faulty<offsetof(Syscalls, name) / sizeof(void*), &Syscalls::name, decltype(Syscalls::name)>::Call,
    WEFT_SYSCALLS(WEFT_FAULTY_SYSCALL)
#undef WEFT_FAULTY_SYSCALL
};

}  // namespace

void ScopedSyscallFault::Install(Options options) {
  WEFT_CHECK(options.times == 0 || options.error > 0) << "a failing call needs an errno";
  WEFT_CHECK(options.first >= 1) << "calls count from 1";
  std::lock_guard guard(lock);
  Fault& fault = faults[index_];
  WEFT_CHECK(!fault.installed) << "two faults of the same syscall, entry " << index_ << " of the table";
  fault = {.installed = true, .calls = 0, .options = options};
  if (installed_faults++ > 0) return;
  beneath.store(&Sys(), std::memory_order_relaxed);
  // [syscalls/4] release: pairs with [syscalls/1].
  syscalls_internal::current.store(&kFaultySyscalls, std::memory_order_release);
}

ScopedSyscallFault::~ScopedSyscallFault() {
  std::lock_guard guard(lock);
  faults[index_].installed = false;
  if (--installed_faults > 0) return;
  // [syscalls/5] release: pairs with [syscalls/1].
  syscalls_internal::current.store(beneath.load(std::memory_order_relaxed), std::memory_order_release);
}

int64_t ScopedSyscallFault::calls() const noexcept {
  std::lock_guard guard(lock);
  return faults[index_].calls;
}

}  // namespace weft::internal
