// Broadcast<T>: each subscriber sees each value. Watch<T>: the newest value, and a wait for the next one.
//
//   weft::Broadcast<Tick> ticks(64);                          // the 64 newest values are kept for those who are slow
//   auto mine = ticks.Subscribe();                            // sees what is sent from here on
//   ... ticks.Send(tick);                                     // any thread; never waits
//   while (auto next = co_await mine.Receive()) Handle(*next->value, next->missed);   // empty: closed, all is seen
//
//   weft::Watch<Config> config(Load());
//   ... config.Set(Load());                                   // any thread
//   ... config.Update([](Config c) { ++c.version; return c; });   // any thread: from the newest one
//   Use(*config.Get());                                       // the newest
//   auto reader = config.NewReader();
//   while (auto next = co_await reader.Next()) Use(*next);  // the newest that it has not seen; null: closed
//
// A value is made once, and shared by those who see it: std::shared_ptr<const T>. A subscriber that is slower than the
// capacity allows is told how many values it has missed, and goes on with the oldest that is kept. A reader of a Watch
// misses what was replaced before it looked.
//
// One thread at a time may use a subscriber, or a reader. A copy goes on by itself from where the original is.
// Lifetime: a Broadcast, or a Watch, must outlive the waits of its subscribers; otherwise it is a CHECK. A wait lasts
// until its thread goes on, also after a Close(). A subscriber that does not wait may outlive it, but not be used.
// Memory ordering: what came before a Send(), a Set() or an Update() happens before what follows a call that sees its
// value.
// Cancellation: Receive() and Next() are checkpoints. A wait that is cancelled has seen nothing.
// Cost: Send(), Set() and Update() allocate the value, and are O(threads that wait); a short lock otherwise. Without
// memory they throw std::bad_alloc, and nothing was sent.
#ifndef WEFT_CHANNEL_BROADCAST_H_
#define WEFT_CHANNEL_BROADCAST_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/channel/broadcast_core.h"
#include "weft/internal/check.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait_node.h"

namespace weft {

template <class T>
class Broadcast {
 public:
  struct Received {
    std::shared_ptr<const T> value;
    uint64_t missed;  // values before this one that were not kept until now
  };

  class Subscriber {
   public:
    // Waits for a value that this subscriber has not seen. co_await it; yields a std::optional<Received>: empty if the
    // broadcast is closed, and all that is kept was seen.
    auto Receive() noexcept { return Awaiter(*this); }
    // The same without waiting, also empty if it would have to wait.
    std::optional<Received> TryReceive() noexcept { return of_->Take(position_); }

   private:
    friend class Broadcast;
    class [[nodiscard("co_await the receive")]] Awaiter : public internal::GivesWhenAwaited<std::optional<Received>> {
     public:
      using WeftAwaitable = void;
      explicit Awaiter(Subscriber& subscriber) noexcept : subscriber_(subscriber) {}
      bool await_ready() const noexcept { return internal::BroadcastCore::Ready(subscriber_.position_); }
      template <internal::WeftPromise Promise>
      bool await_suspend(std::coroutine_handle<Promise> frame,
                         std::source_location where = std::source_location::current()) const noexcept {
        return internal::BroadcastCore::Suspend(subscriber_.position_, {frame.promise(), where});
      }
      std::optional<Received> await_resume() const noexcept { return subscriber_.TryReceive(); }
      internal::SelectPart ForSelect() const noexcept {
        return {&subscriber_.position_, &internal::BroadcastCore::kSelect};
      }

     private:
      Subscriber& subscriber_;
    };

    Subscriber(Broadcast& of, uint64_t seen) noexcept : of_(&of), position_{&of.core_, seen} {}

    Broadcast* of_;
    internal::BroadcastPosition position_;
  };

  // `capacity` > 0, in values.
  explicit Broadcast(int64_t capacity) : kept_(CheckedCapacity(capacity)) {}
  Broadcast(const Broadcast&) = delete;
  Broadcast& operator=(const Broadcast&) = delete;
  ~Broadcast() = default;  // a CHECK if a thread waits

  // Sends a value to all subscribers. False: it is closed. Any thread may call it. Does not wait.
  bool Send(T value) {
    auto made = std::make_shared<const T>(std::move(value));  // holds what it replaces until the lock is released
    return core_.Send([&](uint64_t number) noexcept {
      kept_[number % kept_.size()].swap(made);
      return true;
    });
  }
  // Sees what is sent from here on.
  Subscriber Subscribe() noexcept { return SubscribeAfter(core_.sent()); }
  // Nothing can be sent from here on. `why` is for status(). True: it was open; later calls change nothing.
  bool Close(absl::Status why = absl::OkStatus()) noexcept { return core_.Close(std::move(why)); }
  bool IsClosed() noexcept { return core_.IsClosed(); }
  absl::Status status() noexcept { return core_.status(); }

 private:
  template <class U>
  friend class Watch;

  Subscriber SubscribeAfter(uint64_t seen) noexcept { return Subscriber(*this, seen); }
  // For a Watch, which always has a value.
  template <class F>
  bool Update(F& f) {
    for (;;) {
      Subscriber newest = SubscribeAfter(0);
      const std::shared_ptr<const T> old = newest.TryReceive()->value;
      auto made = std::make_shared<const T>(f(*old));
      bool is_newest = true;
      const bool sent = core_.Send([&](uint64_t number) noexcept {
        is_newest = number == newest.position_.seen;
        if (is_newest) kept_[number % kept_.size()].swap(made);
        return is_newest;
      });
      if (is_newest) return sent;
    }
  }
  static size_t CheckedCapacity(int64_t capacity) {
    WEFT_CHECK(capacity > 0) << "a Broadcast with a capacity of " << capacity << "; it needs 1 or more";
    return static_cast<size_t>(capacity);
  }
  // The oldest value that is kept and was not seen; empty if there is none.
  std::optional<Received> Take(internal::BroadcastPosition& position) noexcept {
    std::optional<Received> taken;
    core_.Look(position, [&](uint64_t sent) noexcept {
      uint64_t& seen = position.seen;
      if (sent == seen) return;
      const uint64_t oldest = sent > kept_.size() ? sent - kept_.size() : 0;
      const uint64_t number = seen > oldest ? seen : oldest;
      taken = Received{kept_[number % kept_.size()], number - seen};
      seen = number + 1;
    });
    return taken;
  }

  std::vector<std::shared_ptr<const T>> kept_;  // guarded by the core's lock
  internal::BroadcastCore core_;                // goes first: it checks that nobody is about to look
};

template <class T>
class Watch {
  using Subscriber = typename Broadcast<T>::Subscriber;

 public:
  class Reader {
   public:
    // Waits for a value that this reader has not seen, and yields the newest: a std::shared_ptr<const T>; null if the
    // watch is closed, and the newest was seen. The first one is there at once. co_await it.
    auto Next() noexcept { return Awaiter(subscriber_); }
    // The same without waiting, also null if it would have to wait.
    std::shared_ptr<const T> TryNext() noexcept { return ValueOf(subscriber_.TryReceive()); }

   private:
    friend class Watch;
    class [[nodiscard("co_await it")]] Awaiter : public internal::GivesWhenAwaited<std::shared_ptr<const T>> {
     public:
      using WeftAwaitable = void;
      explicit Awaiter(Subscriber& subscriber) noexcept : receive_(subscriber.Receive()) {}
      bool await_ready() const noexcept { return receive_.await_ready(); }
      template <internal::WeftPromise Promise>
      bool await_suspend(std::coroutine_handle<Promise> frame,
                         std::source_location where = std::source_location::current()) const noexcept {
        return receive_.await_suspend(frame, where);
      }
      std::shared_ptr<const T> await_resume() const noexcept { return ValueOf(receive_.await_resume()); }
      internal::SelectPart ForSelect() const noexcept { return receive_.ForSelect(); }

     private:
      decltype(std::declval<Subscriber&>().Receive()) receive_;
    };

    static std::shared_ptr<const T> ValueOf(std::optional<typename Broadcast<T>::Received> received) noexcept {
      return received.has_value() ? std::move(received->value) : nullptr;
    }
    explicit Reader(Subscriber subscriber) noexcept : subscriber_(subscriber) {}

    Subscriber subscriber_;
  };

  explicit Watch(T initial) : values_(1) { values_.Send(std::move(initial)); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() = default;  // a CHECK if a thread waits

  // Replaces the value. False: it is closed, and has not changed. Any thread may call it. Does not wait.
  bool Set(T value) { return values_.Send(std::move(value)); }
  // Replaces the value by f(value), as one step: f is called with the newest value, and again each time another one was
  // set meanwhile, so it should do nothing but compute. No lock is held. False: it is closed. Then, and if f throws,
  // the value has not changed; f may have been called. Any thread may call it. Does not wait.
  template <class F>
    requires std::is_invocable_r_v<T, F&, const T&>
  bool Update(F f) {
    return values_.Update(f);
  }
  // The newest value. Any thread may call it.
  std::shared_ptr<const T> Get() noexcept { return NewReader().TryNext(); }
  // One that has seen nothing yet.
  Reader NewReader() noexcept { return Reader(values_.SubscribeAfter(0)); }
  // The value changes no more. `why` is for status(). True: it was open; later calls change nothing.
  bool Close(absl::Status why = absl::OkStatus()) noexcept { return values_.Close(std::move(why)); }
  bool IsClosed() noexcept { return values_.IsClosed(); }
  absl::Status status() noexcept { return values_.status(); }

 private:
  Broadcast<T> values_;
};

}  // namespace weft

#endif  // WEFT_CHANNEL_BROADCAST_H_
