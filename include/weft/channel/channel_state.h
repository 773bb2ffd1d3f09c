// A channel without the type of its values: who waits, what is kept, and who gets it. How it works is in
// lib/channel/channel_state.h.
#ifndef WEFT_CHANNEL_CHANNEL_STATE_H_
#define WEFT_CHANNEL_CHANNEL_STATE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/channel/element_ring.h"
#include "weft/channel/wait_case.h"
#include "weft/internal/atomic.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

struct SelectTaken;

enum class ChannelOutcome : uint8_t {
  kPending,   // it would have to wait, or it waits
  kDone,      // the value is where it should be
  kClosed,    // the channel is closed, and nothing is left in it for a receiver. A sender's value is where it was
  kNoMemory,  // the same, of an unbounded channel for whose value there was no memory
};

template <class Thread>
class ChannelState;

// Who sends or receives once. Lies in the awaiter.
template <class Thread>
struct ChannelParty {
  ChannelState<Thread>* channel;
  bool sends;
  void* value = nullptr;  // of a sender: what is moved from. Of a receiver: where it is made
  ChannelOutcome outcome = ChannelOutcome::kPending;
  // The wait of a thread is over: set once, by whoever grants it, under the locks, or withdraws it, without. relaxed:
  // it decides which of them, and orders nothing.
  Atomic<bool> over{false};
};

// An OS thread that waits.
template <class Thread>
struct OsThreadNode : WaitNode {
  explicit OsThreadNode(ChannelParty<Thread>& of) noexcept : WaitNode(State::kOsThread), party(of) {}
  void Await() noexcept;  // until it is woken

  ChannelParty<Thread>& party;
  Atomic<uint32_t> woken{0};  // a futex
};

template <class Thread>
class ChannelState {
 public:
  using Party = ChannelParty<Thread>;
  static constexpr int64_t kUnbounded = ElementRing::kNoLimit;
  // How many of those who wait to send ReceiveSome() counts, at most. To walk past a million takes 0.1 s.
  static constexpr size_t kCountedSenders = 256;

  // `capacity`: 0 or more, or kUnbounded. Of a conflated one it is 1.
  ChannelState(const ElementType& type, int64_t capacity, bool conflated) noexcept;
  ChannelState(const ChannelState&) = delete;
  ChannelState& operator=(const ChannelState&) = delete;
  ~ChannelState() { ring_.Destroy(type_); }

  // False: a receiver would have had to wait a moment ago. Any thread.
  bool MayHaveSomething() const noexcept {
    return ring_.MayHaveValues() || others_.load(std::memory_order_relaxed);
  }

  // ---- Any thread. Flattened, so that what the steps tell each other stays in registers.
  // Sends or receives, and writes the outcome, without waiting.
  [[gnu::flatten]] void Try(Party& party) noexcept;
  // The same. False: `self` waits, and the party may be anyone's from here on. `Node` is a Thread or an OsThreadNode.
  template <class Node>
  [[gnu::flatten]] bool TryOrAdd(Party& party, Node& self) noexcept;
  // Receives up to `max` values, side by side from `to`. Returns how many; does not wait. `rest`, if it is not null,
  // becomes how many could be received after these, if that is less, with those of kCountedSenders who wait at most.
  int64_t ReceiveSome(void* to, int64_t max, size_t* rest = nullptr) noexcept;
  // True: it was open. close() is called under the locks then.
  template <class F>
  bool Close(F close) noexcept;
  int64_t size() noexcept;
  int64_t capacity() const noexcept { return capacity_; }

  // ---- The waits.
  // Touches the channel only if it returns true.
  static bool Withdraw(Thread& thread) noexcept;

  // ---- Under the locks, for Select(). What these have taken is finished without them.
  ElementRing& ring() noexcept { return ring_; }  // whose locks they are
  bool closed() const noexcept { return closed_; }
  SelectTaken Take(Party& party) noexcept;
  void Add(const Party& party, WaitNode& self) noexcept;
  void TakeBack(WaitCase<Thread>& node) noexcept;  // takes the locks

 protected:
  bool initialized() const noexcept { return initialized_; }
  Thread* FirstWaiting() noexcept;  // under the locks; null: none, or an OS thread
  bool SomebodyWaits() const noexcept {
    return !receivers_.empty() || !senders_.empty() || !over_.empty();
  }
  // For the destructor. Blocks the OS thread for a moment, if a Withdraw() has yet to take its node out.
  void AwaitWithdrawals() noexcept;

 private:
  bool TakeAtOnce(Party& party) noexcept;
  WaitNode* Grant(WaitNodes& queue) noexcept;
  SelectTaken TakeSend(Party& party) noexcept;
  SelectTaken TakeReceive(Party& party) noexcept;
  void NoteOthers() noexcept;

  // Read by both sides, and seldom written.
  const ElementType& type_;
  const int64_t capacity_;
  const bool conflated_;
  bool initialized_ = false;
  // ---- Written under both locks, read under one of them.
  bool closed_ = false;
  // A sender waits, or the channel is closed. relaxed: a hint, which may be true a moment too long.
  Atomic<bool> others_{false};
  WaitNodes receivers_;
  WaitNodes senders_;
  WaitNodes over_;  // of waits that are over: whoever has ended one has yet to take its node out
  bool ends_ = false;
  Atomic<uint32_t> withdrawals_{0};  // a futex: counts while `ends_`. relaxed: written and read under the locks
  ElementRing ring_;  // with the two locks
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_CHANNEL_STATE_H_
