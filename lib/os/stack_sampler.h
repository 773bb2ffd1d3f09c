// Layer os. Where is another OS thread just now?
//
//   StackSample sample;
//   if (SampleStack(thread, sample, &Note, &note)) ...   // sample.frames[0] is where it is, frames[1] who called that
//
// The thread is interrupted by a signal, whose handler walks the stack there, and calls Note(&note), on that thread.
// Both happen in the handler, so Note must be async-signal-safe.
//
// Why a signal. The registers of a thread are known to the kernel and to the thread. ptrace(2) would need a process of
// its own, and /proc/self/task/*/syscall shows two of them, only of a thread that sleeps in the kernel. Why SIGURG,
// like Go: it is ignored by default, the C library has no use for it, debuggers let it pass, and a program seldom
// handles it. If it does, its handler is not replaced, and there is no stack; a real-time signal could be anybody's.
// The handler is installed at the first use, with SA_RESTART. A call that no kernel restarts after a signal (poll,
// nanosleep, ...) may return EINTR, so nothing here is done unless somebody wants to see the stack, and once for each
// hold (watchdog.h).
//
// Why libgcc's unwinder, and not Abseil's, which follows frame pointers: the C library's functions keep none, and a
// thread that blocks is in one of them. It finds the tables by _dl_find_object, which takes no lock (glibc 2.35 and
// libgcc 12). With older ones, a thread that is interrupted in dlopen() may stop there for good.
//
// Who may call: any OS thread but the one that is asked; one at a time, the others wait. `thread` must not end
// meanwhile. A thread that blocks the signal, or gets no processor for a second, has no stack.
#ifndef WEFT_LIB_OS_STACK_SAMPLER_H_
#define WEFT_LIB_OS_STACK_SAMPLER_H_

#include <pthread.h>

#include <cstdint>

namespace weft::internal {

struct StackSample {
  static constexpr int kMaxFrames = 48;
  void* frames[kMaxFrames];  // the innermost first; beyond that the outermost are missing
  int depth = 0;
};

// How long a stack is waited for. A test that needs one has more patience than a watchdog.
extern constinit int64_t g_sample_patience_ns;

// False: there is none, and `note` was not called.
[[nodiscard]] bool SampleStack(pthread_t thread, StackSample& sample, void (*note)(void* argument) noexcept,
                               void* argument) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_STACK_SAMPLER_H_
