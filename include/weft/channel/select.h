// Select: waits for several things, of which exactly one happens.
//
//   #include "weft/channel/select.h"
//
//   auto got = co_await weft::Select(orders.Receive(), cancel.Wait(), weft::Sleep(absl::Seconds(1)), replies.Send(r));
//   switch (got.index()) {
//     case 0: Handle(std::get<0>(got)); break;   // std::optional<Order>: empty if the channel is closed
//     ...
//   }
//
// It yields a std::variant of what the waits yield, in the order of the arguments; a weft::Unit for one that yields
// nothing. The other waits have not happened: no value was received or sent, no lock and no permit was taken, no time
// has to pass. A value that was not sent is left as it was (channel.h).
//
// The arguments are what these return, and are consumed:
//   Channel: Send(), Receive()      Event: Wait()        Mutex: Lock()       Semaphore: Acquire()
//   RecursiveMutex: Lock()          SharedMutex: Lock(), LockShared()
//   Sleep(), SleepUntil()           Future: Get(), TryGet()                  VirtualThread: Join()
//   Broadcast: Receive()            Watch: Next()        Latch: Wait()       Ticker: Next()
// An object may occur in several cases; a Select() never receives what it sends itself. For what is a Task use Race(),
// which starts a thread for each and cancels the others. As a default that does not wait, use
// Sleep(absl::ZeroDuration()). It is always ready, so it may win even if another case is. To do something only if
// nothing is there, use TryReceive() and the like.
//
// Fair: of the cases that are there at once each is as likely as any other; in a simulation the seed decides. A case
// that waits has its place in its queue like any other waiter.
// Cancellation: a Select() is a checkpoint. If it is cancelled, none of its cases happens.
// Memory ordering: that of the case that happens.
// Cost: for a case that is there, at most a short lock for each that was looked at. To wait: the locks of all cases at
// once, in the order of their addresses, and each once more afterwards. A record of 64 bytes for each case in the frame
// that awaits; nothing is allocated. At most 64 cases.
#ifndef WEFT_CHANNEL_SELECT_H_
#define WEFT_CHANNEL_SELECT_H_

#include "weft/internal/compiler.h"

#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/channel/select_core.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait_node.h"
#include "weft/unit.h"

namespace weft {

namespace internal {

// (The compiler shows these lines to callers who pass something else.)
template <class A>
concept Selectable =
    IntoTask<A> && requires(A& wait) {
      { wait.ForSelect() } -> std::same_as<SelectPart>;  // a wait that can be withdrawn: select.h lists them
    };

template <class... A>
class SelectAwaiter;

}  // namespace internal

// Waits until one of `waits` has happened. co_await it.
template <internal::Selectable... A>
  requires(sizeof...(A) > 0)
internal::SelectAwaiter<A...> Select(A&&... waits) {
  return internal::SelectAwaiter<A...>(std::move(waits)...);
}

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

template <class R>
using SelectAlternative = std::conditional_t<std::is_void_v<R>, Unit, R>;
template <class... A>
using Selected = std::variant<SelectAlternative<decltype(std::declval<A&>().await_resume())>...>;

template <class... A>
class [[nodiscard("co_await the select")]] SelectAwaiter : public GivesWhenAwaited<Selected<A...>> {
  static constexpr int32_t kCases = sizeof...(A);
  static_assert(kCases <= SelectCore::kMaxCases, "Select() takes at most 64 waits");
  using Indices = std::index_sequence_for<A...>;

 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  explicit SelectAwaiter(A&&... waits) : waits_(std::move(waits)...) {}
  SelectAwaiter(SelectAwaiter&& other) : waits_(std::move(other.waits_)) {}  // before it is awaited
  ~SelectAwaiter() { wait_.TakeBack(records_.data(), kCases); }

  bool await_ready() {
    Begin();
    return wait_.Ready(records_.data(), kCases);
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return wait_.Suspend(records_.data(), kCases, {frame.promise(), where});
  }
  Selected<A...> await_resume() {
    wait_.TakeBack(records_.data(), kCases);
    DropUnlessTaken drop{this};
    GiveBackExcept(wait_.chosen(), Indices());
    drop.self = nullptr;
    static constexpr auto kTake = []<size_t... I>(std::index_sequence<I...>) {
      return std::array<Selected<A...> (*)(SelectAwaiter&), kCases>{&SelectAwaiter::template Take<I>...};
    }(Indices());
    return kTake[static_cast<size_t>(wait_.chosen())](*this);
  }

 private:
  void Begin() {
#if WEFT_EXCEPTIONS
    try {
      BeginAll(Indices());
    } catch (...) {  // cases before the one that has failed may have taken values
      GiveBackExcept(-1, Indices());
      throw;
    }
#else
    BeginAll(Indices());
#endif
  }
  template <size_t... I>
  void BeginAll(std::index_sequence<I...>) {
    ((records_[I].part = std::get<I>(waits_).ForSelect()), ...);
  }
  template <size_t... I>
  void GiveBackExcept(int32_t chosen, std::index_sequence<I...>) {
    (GiveBackUnless<I>(chosen), ...);
  }
  template <size_t I>
  void GiveBackUnless([[maybe_unused]] int32_t chosen) {
    auto& wait = std::get<I>(waits_);
    if constexpr (requires { wait.NotSelected(); }) {
      if (chosen != static_cast<int32_t>(I)) wait.NotSelected();
    }
  }
  // If giving a value back throws: a lock, or a permit, that this has got must not be held for ever.
  struct DropUnlessTaken {
    ~DropUnlessTaken() {
      if (self != nullptr) [[unlikely]]
        self->DropChosen(Indices());
    }
    SelectAwaiter* self;
  };
  template <size_t... I>
  void DropChosen(std::index_sequence<I...>) noexcept {
    (DropIfChosen<I>(), ...);
  }
  template <size_t I>
  void DropIfChosen() noexcept {
    auto& wait = std::get<I>(waits_);
    if constexpr (requires { typename std::remove_reference_t<decltype(wait)>::YieldsAGuard; }) {
      if (I == static_cast<size_t>(wait_.chosen())) static_cast<void>(wait.await_resume());
    }
  }
  template <size_t I>
  static Selected<A...> Take(SelectAwaiter& self) {
    auto& wait = std::get<I>(self.waits_);
    if constexpr (std::is_void_v<decltype(wait.await_resume())>) {
      wait.await_resume();
      return Selected<A...>(std::in_place_index<I>);
    } else {
      return Selected<A...>(std::in_place_index<I>, wait.await_resume());
    }
  }

  std::tuple<A...> waits_;
  std::array<SelectCore::Record, kCases> records_;
  SelectCore wait_;
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_CHANNEL_SELECT_H_
