// ScopedValue: a value for everything that is called, and every child that is forked, while a binding lasts. (JEP 506)
//
//   weft::ScopedValue<RequestContext> kRequest;              // usually a global: the key
//
//   weft::ScopedBinding request(kRequest, context);          // until the end of this block
//   co_await Handle();                                       // in there: kRequest.Get()
//
//   co_await weft::Where(kRequest, context).Run(Handle());   // the same for one call
//
// A binding belongs to the virtual thread that made it, and is found through that thread, on whichever carrier it is
// mounted. Children that are forked while it lasts inherit it, at the cost of copying one pointer. A binding is
// immutable; to hide it for a while, bind the key again further in. A function of Blocking() or
// ThreadPoolExecutor::Run() sees those of the thread that awaits it, and cannot bind. Threads that are started outside
// of any scope, and submitted tasks, inherit nothing.
//
// Structure. A binding ends on its own thread, in the reverse order of binding. Every scope that was opened inside it
// must be closed by then. A scope forks, and is closed, under the bindings under which it was opened. Anything else is
// a CHECK that names both sides. These rules make it safe to inherit by one pointer.
//
// Cost. A binding is 88 bytes, and the value, in the frame. The first Get() of a key walks outwards and caches the
// answer, found or not, in the bindings that it passes. Later calls are O(1) at any depth. Each binding caches up to
// four keys; code that reads more keys under many bindings walks more often. For most keys that are not bound a Bloom
// filter says so. (The JDK keeps a cache in each thread. Here it is in the binding, and shared by the threads that
// inherit it.)
#ifndef WEFT_SCOPED_VALUE_H_
#define WEFT_SCOPED_VALUE_H_

#include "weft/internal/compiler.h"

#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/internal/binding.h"
#include "weft/internal/into_task.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"
#include "weft/task.h"

namespace weft {

namespace internal {

// The part of a ScopedBinding that does not depend on the type.
class BindingBase {
 public:
  BindingBase(const BindingBase&) = delete;  // a binding is neither copied nor moved
  BindingBase& operator=(const BindingBase&) = delete;
  static void* operator new(size_t) = delete;    // a binding is a local variable, for the time that it exists
  static void* operator new[](size_t) = delete;  // a binding is a local variable, for the time that it exists
  template <class... Where>
  static void* operator new(size_t, Where...) = delete;  // a binding is a local variable, for the time that it exists

 protected:
  BindingBase() = default;
  ~BindingBase() = default;
  void Bind(const void* key, const void* value, std::source_location where) noexcept;
  void Unbind() noexcept;

 private:
  BindingNode node_;
  ThreadBlock* thread_;
  const Record* records_;  // what the thread had open when it bound
};

// The innermost binding of `key` on the current virtual thread, or on the one that awaits this call; or null.
const void* FindBinding(const void* key) noexcept;
[[noreturn]] void DieUnbound() noexcept;

}  // namespace internal

// Its address is the key. (binding.h says what the alignment is for.)
template <class T>
class alignas(8) ScopedValue {
 public:
  constexpr ScopedValue() = default;
  ScopedValue(const ScopedValue&) = delete;  // its address is the key: refer to it
  ScopedValue& operator=(const ScopedValue&) = delete;

  // The value bound here; if the key is not bound, a CHECK. The reference is valid as long as the binding: do not keep
  // it beyond the call.
  const T& Get() const {
    const void* value = internal::FindBinding(this);
    if (value == nullptr) internal::DieUnbound();
    return *static_cast<const T*>(value);
  }
  bool IsBound() const { return internal::FindBinding(this) != nullptr; }
  T OrElse(T otherwise) const {
    const void* value = internal::FindBinding(this);
    return value == nullptr ? std::move(otherwise) : *static_cast<const T*>(value);
  }
#if WEFT_EXCEPTIONS
  // Like Get(), but throws make_exception() if the key is not bound here.
  template <class MakeException>
  const T& OrElseThrow(MakeException make_exception) const {
    const void* value = internal::FindBinding(this);
    if (value == nullptr) throw make_exception();
    return *static_cast<const T*>(value);
  }
#endif
};

template <class T>
class [[nodiscard("a binding lasts as long as this object: give it a name")]] ScopedBinding
    : private internal::BindingBase {
 public:
  ScopedBinding(const ScopedValue<T>& key, std::type_identity_t<T> value,
                std::source_location where = std::source_location::current())
      : value_(std::move(value)) {
    internal::CheckInFrame(this);
    Bind(&key, &value_, where);
  }
  ~ScopedBinding() { Unbind(); }

 private:
  const T value_;
};
template <class T, class V>
ScopedBinding(const ScopedValue<T>&, V&&) -> ScopedBinding<T>;

// Values to bind for one call. Where() makes it.
template <class... T>
class [[nodiscard("call .Run(task)")]] Carrying {
 public:
  template <class U>
  Carrying<T..., U> Where(const ScopedValue<U>& key, std::type_identity_t<U> value) && {
    return Carrying<T..., U>(
        std::tuple_cat(std::move(bound_), std::tuple<std::pair<const ScopedValue<U>*, U>>({&key, std::move(value)})),
        where_);
  }

  // Awaits `task` under the bindings, the first outermost. Exceptions pass through.
  template <internal::TaskOrClosure A>
  Task<internal::ValueOf<A>> Run(A&& task) && {
    return RunFrom<0>(std::move(bound_), where_, internal::AsTask(std::forward<A>(task)));
  }

  Carrying(std::tuple<std::pair<const ScopedValue<T>*, T>...> bound, std::source_location where)
      : bound_(std::move(bound)), where_(where) {}

 private:
  template <size_t I, class R>
  static Task<R> RunFrom(std::tuple<std::pair<const ScopedValue<T>*, T>...> bound, std::source_location where,
                         Task<R> task) {
    if constexpr (I == sizeof...(T)) {
      co_return co_await std::move(task);
    } else {
      ScopedBinding binding(*std::get<I>(bound).first, std::move(std::get<I>(bound).second), where);
      co_return co_await RunFrom<I + 1>(std::move(bound), where, std::move(task));
    }
  }

  std::tuple<std::pair<const ScopedValue<T>*, T>...> bound_;
  std::source_location where_;
};

template <class T>
Carrying<T> Where(const ScopedValue<T>& key, std::type_identity_t<T> value,
                  std::source_location where = std::source_location::current()) {
  return Carrying<T>(std::tuple<std::pair<const ScopedValue<T>*, T>>({&key, std::move(value)}), where);
}

}  // namespace weft

#endif  // WEFT_SCOPED_VALUE_H_
