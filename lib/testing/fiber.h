// Layer testing. How does one OS thread run the code of several, and switch between them at will?
//
//   Fiber fiber([] { ...; Fiber::SwitchBack(); ... }, 64 * 1024);
//   fiber.SwitchTo();   // runs the function until its SwitchBack()
//   fiber.SwitchTo();   // goes on after it, until the function returns
//   EXPECT_TRUE(fiber.done());
//
// A fiber is a function with a stack of its own. `SwitchTo` runs it until it calls `SwitchBack` or ends, and then
// returns. Fibers may switch to other fibers; SwitchBack returns to the one that switched to the fiber last. The
// simulator and the model checker run carriers as fibers, so that they decide every step; the library itself has none.
//
// Callers: an OS thread makes, runs and destroys its own fibers. SwitchTo on a fiber that is done, or that is running
// or has switched to the caller, is a CHECK. So is SwitchBack outside of a fiber.
//
// Lifetime: a fiber that has not ended may be destroyed, unless it is running. Its stack is freed without unwinding, so
// its locals are not destroyed. Its function object is.
//
// Exceptions stay within the fiber; one that leaves the function ends the process. A switch may happen anywhere, also
// in a catch block, and in a destructor that runs while an exception unwinds: each fiber has its own state of the
// exceptions in flight (`std::uncaught_exceptions()`, `std::current_exception()`, `throw;`).
//
// Each fiber has its own control words of the floating-point units (rounding, masks). A new fiber starts with those of
// the code that first runs it. thread_locals belong to the OS thread, and errno is one of them.
//
// Below a stack lies a guard. A fiber that runs into it, by a recursion or a large local, ends the process with a line
// that names the fiber. (stack_overflow.h)
//
// AddressSanitizer and ThreadSanitizer learn of every switch. For the latter a switch orders the two sides.
//
// Cost: a switch takes 18 ns on x86-64 with all of this; elsewhere it is swapcontext, which makes a syscall.
//
// Rejected: a thread for each fiber with a hand-off, 3,100 ns a switch; swapcontext everywhere, 580 ns.
#ifndef WEFT_LIB_TESTING_FIBER_H_
#define WEFT_LIB_TESTING_FIBER_H_

#include <cstddef>
#include <functional>

namespace weft::internal {

class Fiber {
 public:
  // Enough for tests that print; AddressSanitizer makes frames several times larger.
  static constexpr size_t kDefaultStackBytes = size_t{256} * 1024;

  // Large enough for a function whose locals take more than a page to end in it, and not beyond. Address space only.
  static constexpr size_t kGuardBytes = size_t{1024} * 1024;

  // The stack is rounded up to whole pages. `name` is a literal, or lives as long as the fiber.
  explicit Fiber(std::function<void()> function, size_t stack_bytes = kDefaultStackBytes, const char* name = "a fiber");
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Runs the fiber until it switches back or ends.
  void SwitchTo();

  // Called within a fiber: returns from the SwitchTo() that runs it.
  static void SwitchBack();

  // The fiber that is running on this OS thread, or nullptr.
  static Fiber* Current() noexcept;

  const char* name() const noexcept { return name_; }
  size_t stack_bytes() const noexcept;
  // Does `address` lie in the guard below the stack?
  bool IsBelowStack(const void* address) const noexcept;

  // Whether the function has returned.
  bool done() const noexcept { return done_; }

 private:
  struct Context;

  [[noreturn]] static void Main() noexcept;
  static void Switch(Context& from, Context& to, Context& back) noexcept;

  std::function<void()> function_;
  const char* const name_;
  Context* const context_;         // the fiber's own state while it does not run
  Context* const caller_context_;  // that of whoever has switched to it
  Fiber* caller_ = nullptr;        // the fiber that has switched to it, or nullptr
  bool running_ = false;           // it is current, or has switched to another
  bool done_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_FIBER_H_
