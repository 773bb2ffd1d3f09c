// A value on its way into a channel, and out of it: what the calls of channel.h return, and what they are made of.
#ifndef WEFT_CHANNEL_CHANNEL_AWAITERS_H_
#define WEFT_CHANNEL_CHANNEL_AWAITERS_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/channel/channel_core.h"
#include "weft/channel/element_ring.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/unit.h"

namespace weft::internal {

// What a channel keeps in place of a T: moving it never throws.
template <class T>
inline constexpr bool kBoxed = !std::is_nothrow_move_constructible_v<T>;
template <class T>
using Element = std::conditional_t<kBoxed<T>, std::unique_ptr<T>, T>;

template <class E>
inline constexpr ElementType kElementType = {
    .size = sizeof(E),
    .alignment = alignof(E),
    .move = [](void* to, void* from) noexcept { ::new (to) E(std::move(*static_cast<E*>(from))); },
    .destroy = std::is_trivially_destructible_v<E>
                   ? nullptr
                   : +[](void* value) noexcept { static_cast<E*>(value)->~E(); },
    .allocate = [](size_t bytes, size_t alignment) noexcept { return AllocateFrameNoThrow(bytes, alignment); },
    .free = [](void* memory, size_t bytes, size_t alignment) noexcept { FreeFrame(memory, bytes, alignment); },
};

// Throws std::bad_alloc, or is a CHECK where exceptions are off. (channel_core.cc)
[[noreturn, gnu::cold]] void ThrowChannelOutOfMemory();

// A value on its way into a channel: its sender's, until it is sent. `Held` is T& or T.
template <class T, class Held>
class Sending : public ChannelParty<ThreadBlock> {
 public:
  Sending(ChannelCore& channel, Held source) noexcept(!std::is_same_v<Held, T> || !kBoxed<T>)
      : ChannelParty<ThreadBlock>{&channel, /*sends=*/true}, source_(std::forward<Held>(source)) {}
  // Before Begin(). Not if it has begun: others know where it is.
  Sending(Sending&& other) noexcept(!std::is_same_v<Held, T> || !kBoxed<T>)
      : ChannelParty<ThreadBlock>{other.channel, /*sends=*/true}, source_(std::forward<Held>(other.source_)) {}

  ChannelCore& core() const noexcept { return *static_cast<ChannelCore*>(channel); }
  void Begin() {
    CheckInFrame(this);
    if constexpr (kBoxed<T>) {
      box_ = std::make_unique<T>(std::move(source_));
      value = &box_;
    } else {
      value = std::addressof(source_);
    }
  }
  // It is over: is it sent? If not, the value is where it was.
  bool End() {
    if (outcome == ChannelOutcome::kDone) [[likely]]
      return true;
    GiveBack();
    if (outcome == ChannelOutcome::kNoMemory) [[unlikely]]
      ThrowChannelOutOfMemory();
    return false;
  }
  void GiveBack() {
    if constexpr (kBoxed<T>) {
      if (box_ != nullptr) source_ = std::move(*box_);
    }
  }

 private:
  Held source_;
  [[no_unique_address]] std::conditional_t<kBoxed<T>, std::unique_ptr<T>, Unit> box_;
};

template <class T, class Held>
class [[nodiscard("co_await the send")]] ChannelSendAwaiter : public GivesWhenAwaited<bool> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  ChannelSendAwaiter(ChannelCore& channel, Held source) : sending_(channel, std::forward<Held>(source)) {}

  bool await_ready() {
    sending_.Begin();
    if (!AtCheckpoint()) return false;
    sending_.core().Try(sending_);
    return sending_.outcome != ChannelOutcome::kPending;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    sending_.core().Suspend(sending_, {frame.promise(), where});
  }
  bool await_resume() { return sending_.End(); }

  // For Select().
  SelectPart ForSelect() {
    sending_.Begin();
    return {static_cast<ChannelParty<ThreadBlock>*>(&sending_), &ChannelCore::kSelect};
  }
  void NotSelected() { sending_.GiveBack(); }

 private:
  Sending<T, Held> sending_;
};

// Where a value arrives.
template <class T>
class Receiving : public ChannelParty<ThreadBlock> {
 public:
  explicit Receiving(ChannelCore& channel) noexcept : ChannelParty<ThreadBlock>{&channel, /*sends=*/false} {}
  // Before Begin().
  Receiving(Receiving&& other) noexcept : ChannelParty<ThreadBlock>{other.channel, /*sends=*/false} {}
  ~Receiving() {
    if (outcome == ChannelOutcome::kDone) element_.~E();
  }

  ChannelCore& core() const noexcept { return *static_cast<ChannelCore*>(channel); }
  void Begin() noexcept {
    CheckInFrame(this);
    value = &element_;
  }
  // False: nothing was there. A thread that then suspends looks again, under the lock.
  bool TryIfSomethingIsThere() noexcept {
    if (!channel->MayHaveSomething()) return false;
    channel->Try(*this);
    return outcome != ChannelOutcome::kPending;
  }
  bool received() const noexcept { return outcome == ChannelOutcome::kDone; }
  T&& Take() noexcept {
    if constexpr (kBoxed<T>) {
      return std::move(*element_);
    } else {
      return std::move(element_);
    }
  }
  std::optional<T> End() {
    if (!received()) return std::nullopt;
    return std::optional<T>(Take());
  }

 private:
  using E = Element<T>;
  union {
    E element_;
  };
};

template <class T>
class [[nodiscard("co_await the receive")]] ChannelReceiveAwaiter : public GivesWhenAwaited<std::optional<T>> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  explicit ChannelReceiveAwaiter(ChannelCore& channel) noexcept : receiving_(channel) {}

  bool await_ready() noexcept {
    receiving_.Begin();
    return AtCheckpoint() && receiving_.TryIfSomethingIsThere();
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    receiving_.core().Suspend(receiving_, {frame.promise(), where});
  }
  std::optional<T> await_resume() { return receiving_.End(); }

  // For Select().
  SelectPart ForSelect() noexcept {
    receiving_.Begin();
    return {static_cast<ChannelParty<ThreadBlock>*>(&receiving_), &ChannelCore::kSelect};
  }

 private:
  Receiving<T> receiving_;
};

// Values between a channel and a span or a vector: as many as one look at the channel yields.
template <class T>
class ReceivedBatch {
 public:
  // If moving one to where it belongs may throw, the others are still in the channel.
  static constexpr int64_t kMost =
      kBoxed<T> || !std::is_nothrow_move_assignable_v<T> ? 1 : std::clamp<int64_t>(1024 / sizeof(T), 1, 32);

  ReceivedBatch() noexcept {}
  ReceivedBatch(const ReceivedBatch&) = delete;
  ReceivedBatch& operator=(const ReceivedBatch&) = delete;
  ~ReceivedBatch() { Clear(); }

  // `max` is at most kMost. `rest`: as for ReceiveSome().
  int64_t Receive(ChannelCore& from, int64_t max, size_t* rest) noexcept {
    Clear();
    return size_ = from.ReceiveSome(elements_, max, rest);
  }
  T&& Take(int64_t i) noexcept {
    if constexpr (kBoxed<T>) {
      return std::move(*elements_[i]);
    } else {
      return std::move(elements_[i]);
    }
  }

 private:
  using E = Element<T>;
  void Clear() noexcept {
    while (size_ > 0) elements_[--size_].~E();
  }

  int64_t size_ = 0;
  union {
    E elements_[kMost];
  };
};

template <class T, class Into>
class [[nodiscard("co_await the receive")]] ChannelReceiveManyAwaiter : public GivesWhenAwaited<size_t> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  ChannelReceiveManyAwaiter(ChannelCore& channel, Into into, size_t max) noexcept
      : receiving_(channel), into_(into), max_(max) {}

  bool await_ready() {
    receiving_.Begin();
    if (max_ == 0) {
      receiving_.outcome = ChannelOutcome::kClosed;  // it is over, also for whoever suspends it to let others run
    } else {
      MakeRoomFor(1);
    }
    return AtCheckpoint() && (max_ == 0 || receiving_.TryIfSomethingIsThere());
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    receiving_.core().Suspend(receiving_, {frame.promise(), where});
  }
  size_t await_resume() {
    if (!receiving_.received()) return 0;
    size_t count = 0;
    Put(count++, receiving_.Take());
    ReceivedBatch<T> batch;
    size_t rest = max_ - 1;
    for (bool first = true; rest > 0; first = false) {
      const auto wanted = static_cast<int64_t>(std::min<size_t>(rest, ReceivedBatch<T>::kMost));
      MakeRoomFor(static_cast<size_t>(wanted));
      rest -= static_cast<size_t>(wanted);
      // What is there at the first look is the end: senders that are as fast would keep us for ever.
      const int64_t received = batch.Receive(receiving_.core(), wanted, first ? &rest : nullptr);
      for (int64_t i = 0; i < received; ++i) Put(count++, batch.Take(i));
      if (received < wanted) break;
    }
    return count;
  }

 private:
  // Before they are received: without memory they are still in the channel.
  void MakeRoomFor(size_t values) {
    if constexpr (std::is_reference_v<Into>) {
      if (into_.capacity() - into_.size() >= values) return;
      into_.reserve(std::max(into_.size() + values, 2 * into_.capacity()));
    }
  }
  void Put(size_t index, T&& value) {
    if constexpr (std::is_reference_v<Into>) {
      static_cast<void>(index);
      into_.push_back(std::move(value));
    } else {
      into_[index] = std::move(value);
    }
  }

  Receiving<T> receiving_;
  Into into_;
  size_t max_;
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_CHANNEL_AWAITERS_H_
