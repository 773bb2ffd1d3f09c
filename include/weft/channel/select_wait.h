// A wait for several things, of which one happens, without their types. How it works is in lib/channel/select_wait.h.
#ifndef WEFT_CHANNEL_SELECT_WAIT_H_
#define WEFT_CHANNEL_SELECT_WAIT_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <optional>

#include "weft/channel/wait_case.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

struct SelectTaken;

// One case: what it is, and its node while it waits.
template <class Thread>
struct SelectRecord {
  SelectPartOf<Thread> part;
  std::optional<WaitCase<Thread>> node;
};

template <class Thread>
class SelectWait {
 public:
  static constexpr size_t kMaxCases = 64;

  SelectWait() = default;
  SelectWait(const SelectWait&) = delete;
  SelectWait& operator=(const SelectWait&) = delete;

  // WaitKind::withdraw of a wait whose `waiting_on` is the SelectWait.
  static bool Withdraw(Thread& thread) noexcept;

  // ---- By the thread that selects. `records` are those of all cases; they stay.

  // True: one was there, and has been taken.
  bool Look(SelectRecord<Thread>* records, int32_t count, Thread& self) noexcept;
  // The same, after Begin(); otherwise all wait from here on.
  bool LookOrAdd(Thread& self) noexcept;
  // The wait is over: no case waits any more. Idempotent.
  void TakeBack(SelectRecord<Thread>* records, int32_t count) noexcept;
  // The case that was taken or granted.
  int32_t chosen() const noexcept { return taken_ >= 0 ? taken_ : wait_->claimed_by(); }

 protected:
  // Before LookOrAdd().
  void Begin(SelectRecord<Thread>* records, int32_t count, Thread& self) noexcept {
    records_ = records;
    count_ = count;
    wait_.emplace(self);
  }

 private:
  struct Locks;
  template <class Take>
  static int32_t TakeOne(int32_t count, Thread& self, Take take) noexcept;
  static bool TakeAlone(SelectRecord<Thread>& record) noexcept;
  static void Finish(const SelectPartOf<Thread>& part, const SelectTaken& taken) noexcept;

  SelectRecord<Thread>* records_ = nullptr;
  std::optional<WaitForSeveral<Thread>> wait_;
  int32_t count_ = 0;
  int32_t taken_ = -1;  // without a wait
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_SELECT_WAIT_H_
