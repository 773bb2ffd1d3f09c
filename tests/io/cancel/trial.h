// One operation of the table "cancellation x completion" (cancel_completion_test.cc), with all that it needs.
//
// A trial is made for each case. Its peers act on their descriptors through the table of calls (lib/os/syscalls.h), so
// that they work wherever the operation itself does.
#ifndef WEFT_TESTS_IO_CANCEL_TRIAL_H_
#define WEFT_TESTS_IO_CANCEL_TRIAL_H_

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lib/os/syscalls.h"
#include "weft/task.h"

namespace weft::testing {

// What the operation comes to if nobody cancels it.
enum class Outcome : uint8_t { kSuccess, kError, kShort };
inline constexpr Outcome kOutcomes[] = {Outcome::kSuccess, Outcome::kError, Outcome::kShort};

class PoolTrial;

class Trial {
 public:
  explicit Trial(Outcome outcome) noexcept : outcome_(outcome) {}
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  virtual ~Trial() = default;

  // By the thread that directs the case, before anything else.
  virtual Task<void> SetUp() { co_return; }
  // The operation, in a thread of its own. Calls NoteReturn() right behind its co_await.
  virtual Task<void> Operate() = 0;
  // Has it come to its outcome: a peer does something. Waits for nobody.
  virtual void Complete() {}
  // When the operation is over: nothing was lost, and where nothing has failed, the next one works. `returned` says
  // whether it was delivered.
  virtual Task<void> Check() = 0;

  // True: the turn of a driver after Complete() brings the operation to its end. False: it needs further turns of its
  // own thread, or this outcome is that it goes on waiting.
  virtual bool EndsInOneTurn() const { return true; }
  // True: what Complete() would do was done by SetUp(), because the operation cannot be made to wait for it.
  virtual bool IsCompleteBefore() const { return false; }
  // True: the operation waits for time to pass.
  virtual bool WaitsForTime() const { return false; }

  // Null for what is no PoolTrial.
  virtual PoolTrial* pooled() noexcept { return nullptr; }

  int returns() const noexcept { return returns_; }

 protected:
  void NoteReturn() noexcept { ++returns_; }
  bool returned() const noexcept { return returns_ > 0; }
  bool succeeds() const noexcept { return outcome_ == Outcome::kSuccess; }
  bool fails() const noexcept { return outcome_ == Outcome::kError; }
  bool is_short() const noexcept { return outcome_ == Outcome::kShort; }

 private:
  const Outcome outcome_;
  int returns_ = 0;
};

// The calls that the table of a case stands on.
inline const internal::Syscalls* calls_below = nullptr;

// An operation whose calls are made by the pool (weft/blocking.h). There is nothing for a peer to do: the outcome is
// what one call returns, the chosen one. It can be held up.
class PoolTrial : public Trial {
 public:
  enum class Where : uint8_t { kNowhere, kBeforeTheCall, kBehindTheCall };

  explicit PoolTrial(Outcome outcome) noexcept : Trial(outcome) { current = this; }
  ~PoolTrial() override { current = nullptr; }

  PoolTrial* pooled() noexcept final { return this; }
  // Puts the call that may be chosen into the table, wrapped in Choose().
  virtual void Install(internal::Syscalls& table) = 0;
  // False: a thread that is cancelled does not wait for a call that has begun.
  virtual bool AwaitsTheCall() const { return true; }

  // The next call is the chosen one.
  void HoldUp(Where where) noexcept {
    armed_ = true;
    where_ = where;
  }
  // No call is chosen any more.
  void LetPass() noexcept { armed_ = false; }
  bool held_up() const noexcept { return held_up_; }
  bool asked() const noexcept { return asked_; }  // while it is held up, its thread is asked to end
  void GoOn() noexcept { go_on_ = true; }
  void GoOnOnceAsked() noexcept { go_on_once_asked_ = true; }

 protected:
  // What is wrong with the chosen call.
  struct Fault {
    int error = 0;
    bool cut = false;
  };
  // call(fault) makes the call. Of whichever trial there is, because a table has no state.
  template <class F>
  static auto Choose(F call);
  static const internal::Syscalls& Real() noexcept { return *calls_below; }

  bool called() const noexcept { return called_; }

  Fault fault;  // of SetUp()

 private:
  // Returns true for the chosen call.
  bool Begin() noexcept;
  void Wait(Where where) noexcept;

  static inline PoolTrial* current = nullptr;
  bool armed_ = false, called_ = false;
  Where where_ = Where::kNowhere;
  bool held_up_ = false, asked_ = false, go_on_ = false, go_on_once_asked_ = false;
};

template <class F>
auto PoolTrial::Choose(F call) {
  if (current == nullptr || !current->Begin()) return call(Fault());
  current->Wait(Where::kBeforeTheCall);
  const auto result = call(current->fault);
  const int error = errno;
  current->Wait(Where::kBehindTheCall);
  errno = error;
  return result;
}

// ---- The operations.

struct Row {
  const char* name;
  std::function<std::unique_ptr<Trial>(Outcome)> make;
  bool needs_kernel = false;  // a simulated machine has none
};

template <class T>
Row RowOf(const char* name) {
  return {name, [](Outcome outcome) -> std::unique_ptr<Trial> { return std::make_unique<T>(outcome); }};
}

void AddStreams(std::vector<Row>& rows);
void AddConnections(std::vector<Row>& rows);
void AddDatagrams(std::vector<Row>& rows);
void AddOthers(std::vector<Row>& rows);  // pipes, readiness, lines, signals, processes
void AddPooled(std::vector<Row>& rows);  // files, names

}  // namespace weft::testing

#endif  // WEFT_TESTS_IO_CANCEL_TRIAL_H_
