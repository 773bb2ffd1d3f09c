// Layer os. How does Weft run code on an OS thread of its own?
//
//   Thread thread;
//   absl::Status started = thread.Start("weft-carrier-0", [](void* carrier) noexcept { ... }, carrier);
//   ...
//   thread.Join();
//
// One object is one OS thread, started once. If the system has no further thread, `Start` fails with kResourceExhausted
// and the errno (ErrnoOf): EAGAIN (tokio #8406 hung in this case). Nothing has run then, and `Start` may be tried
// again.
//
// Lifetime: a thread that was started must be joined before the object is destroyed; otherwise it is a CHECK. The
// object does not move, because the thread reads from it. The function and its argument must live until the join.
//
// Memory ordering: what came before `Start` happens before the function; what the function did happens before `Join`
// returns.
//
// Rejected: std::thread. It throws if a thread cannot be made, so that this error is lost under -fno-exceptions, and
// its threads have no names.
#ifndef WEFT_LIB_OS_THREAD_H_
#define WEFT_LIB_OS_THREAD_H_

#include <pthread.h>

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

namespace weft::internal {

class Thread {
 public:
  using Function = void (*)(void* argument) noexcept;

  // The longest name that Linux keeps, in bytes; a longer one is cut.
  static constexpr int kMaxNameBytes = 15;

  Thread() noexcept = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread();

  // What a new OS thread has for its stack, by ulimit -s as a rule.
  static size_t StackBytes() noexcept;

  // Runs `function(argument)` on a new OS thread called `name`.
  [[nodiscard]] absl::Status Start(std::string_view name, Function function, void* argument);
  // The same, for callers that may be short of memory: returns an errno, or 0, and allocates nothing itself.
  [[nodiscard]] int TryStart(std::string_view name, Function function, void* argument) noexcept;
  // What Start() says of an errno of TryStart().
  absl::Status WhyNotStarted(int error) const;

  // Waits for the function to return. Called once after a `Start` that returned OK, by any other thread.
  void Join() noexcept;

  // Whether `Join` is due.
  bool joinable() const noexcept { return joinable_; }

 private:
  static void* Run(void* self) noexcept;

  pthread_t handle_ = {};
  bool joinable_ = false;
  Function function_ = nullptr;
  void* argument_ = nullptr;
  char name_[kMaxNameBytes + 1] = {};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_THREAD_H_
