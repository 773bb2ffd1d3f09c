// Generator<T>: a coroutine that yields values one after the other, to the virtual thread that asks for them.
//
//   #include "weft/channel/generator.h"
//
//   weft::Generator<Event> Events(weft::net::TcpStream& stream) {
//     ...
//     while (auto event = parser.Next()) co_yield *std::move(event);   // may wait in between, like a Task
//   }
//   auto events = Events(stream);
//   while (std::optional<Event> event = co_await events.Next()) Handle(*event);   // empty: it has ended
//
// It is no thread: it runs within Next(), in the virtual thread that awaits that, up to its next co_yield or its end.
// What it throws comes out of Next(), and then it has ended. A Generator that goes away destroys its frame, and the
// locals with it. It can be moved, except while it runs; another thread may go on with it. A Next() while it runs is a
// CHECK, and so is its destruction, or a move onto it.
//
// A co_yield leaves the frame, and what is open in it: a scope, a boundary or a scoped binding of the generator's would
// be around its caller, so a co_yield inside of one is a CHECK.
//
// Cancellation: Next() is a checkpoint, and so is each wait of the generator's. If the thread is cancelled while the
// generator waits, the frame of the generator is destroyed first, and then its caller's, up to the boundary. A
// Generator object outside of that boundary has then ended: its Next() yields nothing.
// Cost: one frame from the cache. Next() and co_yield are two transfers, without a lock; nothing else is allocated.
#ifndef WEFT_CHANNEL_GENERATOR_H_
#define WEFT_CHANNEL_GENERATOR_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/internal/check.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/task.h"

namespace weft {

namespace internal {
template <class T>
class GeneratorPromise;
template <class T>
class GeneratorAwaiter;
}  // namespace internal

template <class T>
class [[nodiscard("co_await its Next()")]] Generator {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                "the T of Generator<T> is an object that can be moved");

 public:
  using promise_type = internal::GeneratorPromise<T>;

  Generator(Generator&& other) noexcept { TakeOver(other); }
  Generator& operator=(Generator&& other) noexcept {
    if (this == &other) return *this;
    Destroy();
    TakeOver(other);
    return *this;
  }
  ~Generator() { Destroy(); }

  // Runs it up to its next co_yield. co_await it; yields a std::optional<T>: empty if the generator has ended.
  internal::GeneratorAwaiter<T> Next() noexcept { return internal::GeneratorAwaiter<T>(*this); }

 private:
  friend promise_type;
  friend internal::GeneratorAwaiter<T>;
  explicit Generator(promise_type& promise) noexcept : promise_(&promise) { promise_->owner_ = this; }
  void TakeOver(Generator& other) noexcept {
    promise_ = std::exchange(other.promise_, nullptr);
    if (promise_ != nullptr) promise_->owner_ = this;
  }
  void Destroy() noexcept {
    if (promise_ == nullptr) return;
    WEFT_CHECK(!promise_->runs_) << "a Generator is destroyed while it runs: a thread is in its Next()";
    promise_->Doom();
    promise_->Handle().destroy();
  }

  promise_type* promise_ = nullptr;  // null: it has ended, or was moved from
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// What `thread` has open at a co_yield must be what it had open at the Next(). (generator.cc)
void CheckNothingIsOpen(const ThreadBlock& thread, const Record* records, const BindingNode* bindings) noexcept;

template <class T>
class GeneratorPromise : public TaskPromiseBase<T> {
 public:
  ~GeneratorPromise() {
    if (owner_ != nullptr) owner_->promise_ = nullptr;
  }
  Generator<T> get_return_object() noexcept {
    static_assert(alignof(GeneratorPromise) == alignof(PromiseBase),
                  "PromiseBase::Handle() needs promises aligned like their base");
    return Generator<T>(*this);
  }
  void return_void() const noexcept {}

  struct YieldAwaiter {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<GeneratorPromise> yields) const noexcept {
      GeneratorPromise& promise = yields.promise();
      promise.runs_ = false;
      CheckNothingIsOpen(*CurrentThread(), promise.records_, promise.bindings_);
      return promise.parent()->Handle();
    }
    void await_resume() const noexcept {}
  };
  YieldAwaiter yield_value(T value) {
    this->slot->SetValue(std::move(value));
    return {};
  }

 private:
  friend Generator<T>;
  friend GeneratorAwaiter<T>;
  Generator<T>* owner_ = nullptr;
  // What the thread had open at the Next().
  const Record* records_ = nullptr;
  const BindingNode* bindings_ = nullptr;
  bool runs_ = false;
};

template <class T>
class [[nodiscard("co_await the next value")]] GeneratorAwaiter : public GivesWhenAwaited<std::optional<T>> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  explicit GeneratorAwaiter(Generator<T>& of) noexcept : of_(of) {}
  GeneratorAwaiter(GeneratorAwaiter&& other) noexcept : of_(other.of_) {}  // before it is awaited

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    PromiseBase& frame = awaiting.promise();
    const bool may_go_on = AtCheckpoint();
    if (!EnterBoundary(frame)) return std::noop_coroutine();
    GeneratorPromise<T>* const promise = of_.promise_;
    if (promise == nullptr) return GoOnWith(frame, may_go_on);
    const ThreadBlock& self = *CurrentThread();
    WEFT_CHECK(!std::exchange(promise->runs_, true))
        << "Next() of a Generator that runs: its body, or another thread, is in its Next()";
    promise->SetParent(frame);
    promise->slot = &slot_;
    promise->records_ = self.records.load(std::memory_order_relaxed);  // relaxed: the thread's own
    promise->bindings_ = self.bindings;
    return GoOnWith(*promise, may_go_on);
  }
  std::optional<T> await_resume() {
    if (!slot_.has_value() && !slot_.has_exception()) return std::nullopt;
    return slot_.Take();
  }

 private:
  Generator<T>& of_;
  ResultSlot<T> slot_;
};

}  // namespace internal
}  // namespace weft

template <class T, class... Parameters>
struct std::coroutine_traits<weft::Generator<T>, Parameters...> {
  static_assert(!(weft::internal::kOveraligned<T> || ... || weft::internal::kOveraligned<Parameters>),
                "a parameter or a value of a Generator cannot be aligned to more than 16 bytes");
  using promise_type = weft::internal::GeneratorPromise<T>;
};

#endif  // WEFT_CHANNEL_GENERATOR_H_
