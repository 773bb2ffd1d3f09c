// Layer testing. What if the k-th call of this kind failed?
//
//   ScopedSyscallFault fault(&Syscalls::accept4, {.first = 3, .times = 1, .error = EMFILE});
//   ...                                                   // the third accept4() returns -1 with EMFILE
//   EXPECT_EQ(fault.calls(), 7);                          // how often it was called, failures included
//
// While the object lives, the calls of that kind are counted, by all threads, and the chosen ones fail without reaching
// the kernel, or the machine of a simulation (weft/testing/machine.h). To try every call of a scenario: run it once
// with `times = 0`, read `calls()`, then run it once for each k. Faults of different kinds may be in force at once; two
// of one kind may not.
//
// A failing call returns what the C library would return: -1, or null, with errno set; for `pthread_create` and
// `posix_spawnp` the error itself; for the hooks of io_uring, and for `getaddrinfo`, -error.
//
// Callers: tests. Threads that call the kernel may run meanwhile.
#ifndef WEFT_LIB_TESTING_SYSCALL_FAULT_H_
#define WEFT_LIB_TESTING_SYSCALL_FAULT_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "lib/os/syscalls.h"

namespace weft::internal {

class ScopedSyscallFault {
 public:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  struct Options {
    int64_t first = 1;  // the first call that fails; calls count from 1
    int64_t times = 1;  // how many fail in a row; kForever for all from the first on, 0 to count only
    int error = 0;      // the errno
  };

  template <class Function>
  ScopedSyscallFault(Function Syscalls::* entry, Options options) : index_(Index(entry)) {
    Install(options);
  }
  ScopedSyscallFault(const ScopedSyscallFault&) = delete;
  ScopedSyscallFault& operator=(const ScopedSyscallFault&) = delete;
  ~ScopedSyscallFault();

  // The calls of this kind since this object was made.
  int64_t calls() const noexcept;

 private:
  // Every entry is one function pointer, so its place in the table is its number.
  template <class Function>
  static size_t Index(Function Syscalls::* entry) noexcept {
    static_assert(sizeof(Function) == sizeof(void*), "an entry of Syscalls is a function pointer");
    return static_cast<size_t>(reinterpret_cast<const Function*>(&(RealSyscalls().*entry)) -
                               reinterpret_cast<const Function*>(&RealSyscalls()));
  }
  void Install(Options options);

  const size_t index_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_SYSCALL_FAULT_H_
