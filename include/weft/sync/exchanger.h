// Exchanger<T>: two virtual threads meet, and each gets what the other has brought. (Java's Exchanger.)
//
//   weft::Exchanger<Buffer> exchanger;
//   full = co_await exchanger.Exchange(std::move(empty));        // the one that empties
//   empty = co_await exchanger.Exchange(std::move(full));        // the one that fills
//
// Any number of threads may use it. They meet in pairs, in the order in which they come. For values that go one way use
// a Channel (channel/channel.h).
//
// Where a value is. Exchange(std::move(value)) takes the value when the partner is there. If it is cancelled before,
// `value` is left as it was. So it must stay where it is until the wait is over. A T that is trivially copyable, such
// as a number or a pointer, is kept by the Exchange() itself.
//
// T is an object that can be moved; it needs no default constructor and no copy. If its move may throw, each value is
// moved to memory of its own by its Exchange(), and one whose Exchange() is cancelled is destroyed with its frame.
//
// Lifetime: the exchanger must outlive its waits and the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what came before the Exchange() of one happens before what follows that of the other.
// Cancellation: Exchange() is a checkpoint. A value that was exchanged is delivered.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock and two moves for each value. Nothing is allocated, except as above.
#ifndef WEFT_SYNC_EXCHANGER_H_
#define WEFT_SYNC_EXCHANGER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/unit.h"

namespace weft {

namespace internal {

template <class T, class Held>
class ExchangeAwaiter;

class ExchangerCore;

// One of the two, in its frame.
struct ExchangeParty {
  ExchangerCore* exchanger;
  void* offered = nullptr;  // its value, until a partner is there
  void* place = nullptr;    // where the partner's value goes
  bool done = false;
};

// The part that does not know of T.
class ExchangerCore {
 public:
  // Moves what each has offered to the place of the other.
  using Move = void(ExchangeParty& one, ExchangeParty& other) noexcept;

  explicit ExchangerCore(Move* move) noexcept : move_(move) {}
  ExchangerCore(const ExchangerCore&) = delete;
  ExchangerCore& operator=(const ExchangerCore&) = delete;
  ~ExchangerCore();  // a CHECK if a thread waits

  // True: somebody waited, and it is done.
  bool Meet(ExchangeParty& party) noexcept;
  bool Suspend(ExchangeParty& party, AwaitingFrame frame) noexcept;

 private:
  void Finish(ExchangeParty& party, WaitNode& partner) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;
  static const WaitKind kWait;

  Waiters waiters_;  // one at most
  Move* const move_;
};

}  // namespace internal

template <class T>
class Exchanger {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                "the T of Exchanger<T> is an object that can be moved");

 public:
  Exchanger() noexcept;
  Exchanger(const Exchanger&) = delete;
  Exchanger& operator=(const Exchanger&) = delete;
  ~Exchanger() = default;  // a CHECK if a thread waits

  // Waits for another thread that exchanges, and yields its value, a T. co_await it.
  internal::ExchangeAwaiter<T, T&> Exchange(T&& value [[clang::lifetimebound]]) noexcept
    requires(!std::is_trivially_copyable_v<T>);
  internal::ExchangeAwaiter<T, T> Exchange(T value) noexcept
    requires std::is_trivially_copyable_v<T>;

 private:
  internal::ExchangerCore core_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// What is moved in place of a T: that never throws.
template <class T>
using ExchangedAs = std::conditional_t<std::is_nothrow_move_constructible_v<T>, T, std::unique_ptr<T>>;

template <class T, class Held>
class [[nodiscard("co_await the exchange")]] ExchangeAwaiter : public GivesWhenAwaited<T> {
  using E = ExchangedAs<T>;
  static constexpr bool kBoxed = !std::is_same_v<E, T>;

 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  ExchangeAwaiter(ExchangerCore& exchanger, Held source) noexcept
      : party_{&exchanger}, source_(std::forward<Held>(source)) {}
  // Before it is awaited.
  ExchangeAwaiter(ExchangeAwaiter&& other) noexcept
      : party_{other.party_.exchanger}, source_(std::forward<Held>(other.source_)) {}
  ~ExchangeAwaiter() {
    if (party_.done) received_.~E();
  }

  bool await_ready() {
    CheckInFrame(this);
    if constexpr (kBoxed) {
      box_ = std::make_unique<T>(std::move(source_));
      party_.offered = &box_;
    } else {
      party_.offered = std::addressof(source_);
    }
    party_.place = &received_;
    return AtCheckpoint() && party_.exchanger->Meet(party_);
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return party_.exchanger->Suspend(party_, {frame.promise(), where});
  }
  T await_resume() {
    if constexpr (kBoxed) {
      return std::move(*received_);
    } else {
      return std::move(received_);
    }
  }

 private:
  ExchangeParty party_;
  Held source_;
  [[no_unique_address]] std::conditional_t<kBoxed, std::unique_ptr<T>, Unit> box_;
  union {
    E received_;
  };
};

template <class E>
void MoveExchanged(ExchangeParty& one, ExchangeParty& other) noexcept {
  ::new (one.place) E(std::move(*static_cast<E*>(other.offered)));
  ::new (other.place) E(std::move(*static_cast<E*>(one.offered)));
}

}  // namespace internal

template <class T>
Exchanger<T>::Exchanger() noexcept : core_(&internal::MoveExchanged<internal::ExchangedAs<T>>) {}

template <class T>
internal::ExchangeAwaiter<T, T&> Exchanger<T>::Exchange(T&& value) noexcept
  requires(!std::is_trivially_copyable_v<T>)
{
  return internal::ExchangeAwaiter<T, T&>(core_, value);
}

template <class T>
internal::ExchangeAwaiter<T, T> Exchanger<T>::Exchange(T value) noexcept
  requires std::is_trivially_copyable_v<T>
{
  return internal::ExchangeAwaiter<T, T>(core_, std::move(value));
}

}  // namespace weft

#endif  // WEFT_SYNC_EXCHANGER_H_
