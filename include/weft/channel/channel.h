// Channel<T>: virtual threads, and OS threads, pass values to each other.
//
//   #include "weft/channel/channel.h"
//
//   weft::Channel<Order> orders(64);
//   ... if (!co_await orders.Send(std::move(order))) co_return;     // false: closed, and `order` is left as it was
//   ... orders.Close();                                             // or Close(status): receivers see why
//   while (std::optional<Order> order = co_await orders.Receive()) Handle(*order);   // empty: closed and drained
//
// Members: Send(), TrySend(), SendBlocking(); Receive(), ReceiveMany(), TryReceive(), ReceiveBlocking(); Close(),
// IsClosed(), status(); size(), capacity(). Select() waits for several channels, and other things, at once (select.h).
//
//   Channel<T> c(0)            rendezvous: Send() waits until a receiver has the value
//   Channel<T> c(n)            keeps up to n values; Send() waits while it is full
//   Channel<T> c(kUnbounded)   keeps any number; Send() never waits
//   Channel<T> c(kConflated)   keeps the newest value: one that nobody has received is replaced. Send() never waits
//
// Any number of threads may send and receive. Values are received in the order in which they were sent; senders that
// wait are served in their order, and so are receivers. Nobody overtakes one who waits.
//
// Where a value is. A value is received, or still in the channel, or still with its sender, or destroyed with its
// frame: exactly one of these, whoever is cancelled, and whenever. Send(std::move(value)) takes the value when it is
// certain that it is sent. If it yields false or is cancelled, `value` is left as it was. So it must stay where it is
// until the wait is over: to Fork a send, fork a closure which keeps the value. Send(value) keeps a copy meanwhile, and
// so does every Send() of a T that is trivially copyable, such as a number or a pointer.
//
// Close() ends all waits: of receivers, which find nothing, and of senders, whose values stay with them. What the
// channel keeps can still be received. The destructor destroys it.
//
// T is an object that can be moved. It needs no default constructor, and no copy. If its move may throw, each value is
// moved to memory of its own by the Send(), and there is an allocation for each; then a value whose Send() fails is
// moved back by assignment, and one whose Send() is cancelled is destroyed with its frame. If that assignment throws in
// a Select(), those that were yet to be moved back are destroyed, and one that it has received. A T whose move does not
// throw is moved under locks of the channel; what a conflated one replaces is destroyed under them. So this move and
// this destructor must use nothing of Weft's. A mutex guard and a permit can be moved so; a conflated channel is not
// for them.
//
// Lifetime: the channel must outlive the calls to it. It is a CHECK to destroy it while a thread waits. A thread that
// has received the last value, or has seen that the channel is closed, may destroy it, also while a wait in it is being
// cancelled; but not while another one is in a ReceiveMany(), or in a Select() that has waited for the channel and ends
// for another reason, which is a CHECK.
// Memory ordering: what came before a Send() happens before what follows the Receive() that gets its value; what came
// before a Close() happens before what follows a call that sees it. What came before a Receive() happens before what
// follows a Send() that waited for it.
// Cancellation: Send(), Receive() and ReceiveMany() are checkpoints. A cancellation does not undo a send or a receive
// that has happened.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock and a move or two for each value; senders and receivers have locks of their own, and take both if
// somebody waits. A Close() is O(threads that wait). Memory: some 300 bytes, and n places, from the constructor on. An
// unbounded channel allocates in Send(), 64 places at a time, and frees them when they are empty, except for two
// blocks. Without memory Send() throws std::bad_alloc, and the value stays with the sender; where exceptions are off it
// is then a CHECK. ReceiveMany() may make its vector larger. Nothing else allocates.
#ifndef WEFT_CHANNEL_CHANNEL_H_
#define WEFT_CHANNEL_CHANNEL_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "weft/channel/channel_awaiters.h"
#include "weft/channel/channel_core.h"

namespace weft {

enum class ChannelKind : uint8_t { kUnbounded, kConflated };
inline constexpr ChannelKind kUnbounded = ChannelKind::kUnbounded;
inline constexpr ChannelKind kConflated = ChannelKind::kConflated;

template <class T>
class Channel {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                "the T of Channel<T> is an object that can be moved");
  static_assert(std::is_nothrow_move_constructible_v<T> || std::is_move_assignable_v<T>,
                "the T of Channel<T> has a move constructor that may throw, so it must be move-assignable too: a value "
                "that cannot be sent is moved back");

 public:
  // `capacity` >= 0, in values; all places are allocated here. Without memory: std::bad_alloc, or a CHECK.
  explicit Channel(int64_t capacity);
  explicit Channel(ChannelKind kind);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() = default;  // a CHECK if a thread waits

  // Waits until the value is sent: kept in the channel, or with a receiver. co_await it; yields a bool: false if the
  // channel is closed, and then the value is left as it was.
  internal::ChannelSendAwaiter<T, T&> Send(T&& value [[clang::lifetimebound]]) noexcept
    requires(!std::is_trivially_copyable_v<T>);
  internal::ChannelSendAwaiter<T, T> Send(const T& value)
    requires(!std::is_trivially_copyable_v<T> && std::is_copy_constructible_v<T>);
  internal::ChannelSendAwaiter<T, T> Send(T value) noexcept
    requires std::is_trivially_copyable_v<T>;
  // The same without waiting, also false if it would have to wait. Any thread may call it.
  bool TrySend(T&& value);
  bool TrySend(const T& value)
    requires std::is_copy_constructible_v<T>
  {
    return TrySend(T(value));
  }
  // Send() for an OS thread, which it blocks. On a carrier it is a CHECK.
  bool SendBlocking(T&& value);
  bool SendBlocking(const T& value)
    requires std::is_copy_constructible_v<T>
  {
    return SendBlocking(T(value));
  }

  // Waits for a value. co_await it; yields a std::optional<T>: empty if the channel is closed and has been drained.
  internal::ChannelReceiveAwaiter<T> Receive() noexcept;
  // The same without waiting, also empty if it would have to wait. Any thread may call it.
  std::optional<T> TryReceive();
  // Receive() for an OS thread, which it blocks. On a carrier it is a CHECK.
  std::optional<T> ReceiveBlocking();
  // Waits for a value, and receives with it as many as are there, up to the size of `into`, in their order: those that
  // are kept, and those of some 256 threads that wait to send. co_await it; yields how many there are, a size_t: 0 if
  // the channel is closed and has been drained, or if `into` is empty.
  internal::ChannelReceiveManyAwaiter<T, absl::Span<T>> ReceiveMany(absl::Span<T> into) noexcept
    requires std::is_move_assignable_v<T>;
  // The same for up to `max` values, which are put behind those that are in `into`.
  internal::ChannelReceiveManyAwaiter<T, std::vector<T>&> ReceiveMany(std::vector<T>& into, size_t max) noexcept;

  // No value can be sent from here on. `why` is for status(). True: the channel was open; later calls change nothing.
  // Any thread may call it. Does not wait.
  bool Close(absl::Status why = absl::OkStatus()) noexcept { return core_.Close(std::move(why)); }
  bool IsClosed() noexcept { return core_.IsClosed(); }
  // OK while it is open; then what it was closed with.
  absl::Status status() noexcept { return core_.status(); }

  // How many values are kept. The number may have changed by the time it is read.
  size_t size() noexcept { return static_cast<size_t>(core_.size()); }
  // How many can be kept at most; nothing if it is unbounded.
  std::optional<size_t> capacity() const noexcept {
    if (core_.capacity() == internal::ChannelCore::kUnbounded) return std::nullopt;
    return static_cast<size_t>(core_.capacity());
  }

 private:
  internal::ChannelCore core_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class T>
Channel<T>::Channel(int64_t capacity)
    : core_(internal::kElementType<internal::Element<T>>, capacity, /*conflated=*/false) {}
template <class T>
Channel<T>::Channel(ChannelKind kind)
    : core_(internal::kElementType<internal::Element<T>>,
            kind == kUnbounded ? internal::ChannelCore::kUnbounded : 1, kind == kConflated) {}

template <class T>
internal::ChannelSendAwaiter<T, T&> Channel<T>::Send(T&& value) noexcept
  requires(!std::is_trivially_copyable_v<T>)
{
  return {core_, value};
}
template <class T>
internal::ChannelSendAwaiter<T, T> Channel<T>::Send(const T& value)
  requires(!std::is_trivially_copyable_v<T> && std::is_copy_constructible_v<T>)
{
  return {core_, T(value)};
}
template <class T>
internal::ChannelSendAwaiter<T, T> Channel<T>::Send(T value) noexcept
  requires std::is_trivially_copyable_v<T>
{
  return {core_, std::move(value)};
}
template <class T>
bool Channel<T>::TrySend(T&& value) {
  internal::Sending<T, T&> sending(core_, value);
  sending.Begin();
  core_.Try(sending);
  return sending.End();
}
template <class T>
bool Channel<T>::SendBlocking(T&& value) {
  internal::Sending<T, T&> sending(core_, value);
  sending.Begin();
  core_.Block(sending);
  return sending.End();
}

template <class T>
internal::ChannelReceiveAwaiter<T> Channel<T>::Receive() noexcept {
  return internal::ChannelReceiveAwaiter<T>(core_);
}
template <class T>
std::optional<T> Channel<T>::TryReceive() {
  internal::Receiving<T> receiving(core_);
  receiving.Begin();
  core_.Try(receiving);
  return receiving.End();
}
template <class T>
std::optional<T> Channel<T>::ReceiveBlocking() {
  internal::Receiving<T> receiving(core_);
  receiving.Begin();
  core_.Block(receiving);
  return receiving.End();
}
template <class T>
internal::ChannelReceiveManyAwaiter<T, absl::Span<T>> Channel<T>::ReceiveMany(absl::Span<T> into) noexcept
  requires std::is_move_assignable_v<T>
{
  return {core_, into, into.size()};
}
template <class T>
internal::ChannelReceiveManyAwaiter<T, std::vector<T>&> Channel<T>::ReceiveMany(std::vector<T>& into,
                                                                                 size_t max) noexcept {
  return {core_, into, max};
}

}  // namespace weft

#endif  // WEFT_CHANNEL_CHANNEL_H_
