// VirtualThreadLocal<T>: a variable of which every virtual thread has its own. (Java's ThreadLocal)
//
//   weft::VirtualThreadLocal<Arena> arena("arena");                                     // made when first used
//   weft::VirtualThreadLocal<int> retries("retries", [] { return 3; });                  // with an initial value
//   ... arena.Get().Allocate(100); retries.Set(retries.Get() - 1); retries.Remove();
//
// Members: Get(), Find(), Set(), Remove(). A C++ `thread_local` belongs to the carrier: a virtual thread may be on
// another one after each co_await, unless it has a Pin (pin.h). To pass a value down to the threads that a thread
// starts, use a ScopedValue (scoped_value.h): forks inherit it as one pointer, it cannot be changed, and it ends with
// its binding. A thread-local is for what a thread keeps for itself, and for code that comes from Java.
//
// Inheritance. Values of an InheritableVirtualThreadLocal<T> are copied to a thread that Fork(),
// VirtualThread::Start(), a Builder or a ThreadFactory makes, from the virtual thread that makes it, at that moment:
// what either sets afterwards the other does not see. If a copy throws, so does Fork(), Start() or whatever makes the
// thread, and there is none. Race(), Any(), ForEach() and Map() fork. The branches of All(), and what is submitted to
// an executor, begin without values.
//
// Lifetime. A value is destroyed on its thread: by Remove(), or when the thread ends, after its frames and its closure,
// the last made first, copies in the order of their originals. A destructor may use other thread-locals; what it makes
// is destroyed as well. The variable itself, which is not movable, may be destroyed before its values. It may be a
// global.
//
// Who may call: virtual threads. On any other thread it is a CHECK. A thread that was built with
// AllowThreadLocals(false) must not use one: a CHECK names the variable and the thread. (thread_builder.h)
//
// Errors. Without memory for a value, or for the record that handles to the thread share, Get() and Set() throw
// std::bad_alloc; where exceptions are off, the program ends.
//
// Tracing. With the environment variable WEFT_TRACE_THREAD_LOCALS=1, the first use of each variable by each thread is a
// line on standard error: the thread, the variable, and the file and line of the use.
//
// Cost. A thread that uses none pays nothing. One that does has an allocation for each value, of its size and 24 bytes,
// and the record that handles to the thread share. Get() finds the value that was used last at once; others take a step
// for each value of the thread that was made later. A thread with inheritable values copies them at each Fork(), and
// takes none of the short cuts of scopes and of All().
#ifndef WEFT_VIRTUAL_THREAD_LOCAL_H_
#define WEFT_VIRTUAL_THREAD_LOCAL_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include "weft/cancel_reason.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_identity.h"

namespace weft {

namespace internal {

// What all variables have in common.
class ThreadLocalVariable {
 public:
  ThreadLocalVariable(const ThreadLocalVariable&) = delete;
  ThreadLocalVariable& operator=(const ThreadLocalVariable&) = delete;

 protected:
  ThreadLocalVariable(const char* name, std::source_location where) noexcept;
  ~ThreadLocalVariable() = default;

  // The value of the current thread; null if it has none. `what` is for the CHECK on other threads.
  ThreadLocalNode* FindNode(const char* what) const noexcept;
  // Before a value is made: a CHECK if the current thread must not have any, and std::bad_alloc if it cannot.
  void Prepare(std::source_location used_at) const;
  // The current thread has it from now on.
  void AddNode(ThreadLocalNode& node, std::source_location used_at) const noexcept;
  // Takes it from the current thread.
  void TakeNode(ThreadLocalNode& node) const noexcept;
  [[noreturn]] void DieWithoutInitialValue(std::source_location used_at) const noexcept;

 private:
  const uint64_t key_;  // never used again
  const char* const name_;
  const std::source_location where_;
};

}  // namespace internal

template <class T>
class VirtualThreadLocal : internal::ThreadLocalVariable {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                "a thread-local is of an object type that can be changed");

 public:
  // `name` is for messages. The initial value is T().
  explicit VirtualThreadLocal(Literal name = "", std::source_location where = std::source_location::current()) noexcept
      : VirtualThreadLocal(name, nullptr, where, kOps) {}
  // The initial value is what `initial` returns, called by each thread that has no value.
  template <class Initial>
    requires std::is_invocable_r_v<T, Initial&>
  VirtualThreadLocal(Literal name, Initial initial, std::source_location where = std::source_location::current())
      : VirtualThreadLocal(name, std::function<T()>(std::move(initial)), where, kOps) {}

  // The value; makes the initial one if there is none. The reference holds until Remove(), the thread's end, or a Set()
  // of a T that cannot be assigned. Without T() and without a function it is a CHECK if there is none.
  T& Get(std::source_location used_at = std::source_location::current()) const {
    if (internal::ThreadLocalNode* const found = FindNode("VirtualThreadLocal::Get()")) return ValueOf(*found);
    Prepare(used_at);
    if (initial_) return Make(used_at, initial_);
    if constexpr (std::is_default_constructible_v<T>) return Make(used_at, [] { return T(); });
    DieWithoutInitialValue(used_at);
  }
  // The value, or null: makes none.
  T* Find() const {
    internal::ThreadLocalNode* const found = FindNode("VirtualThreadLocal::Find()");
    return found == nullptr ? nullptr : &ValueOf(*found);
  }
  void Set(T value, std::source_location used_at = std::source_location::current()) const {
    if (internal::ThreadLocalNode* const found = FindNode("VirtualThreadLocal::Set()")) {
      if constexpr (std::is_move_assignable_v<T>) {
        ValueOf(*found) = std::move(value);
        return;
      }
      Remove();
    }
    Prepare(used_at);
    Make(used_at, [&value]() -> T&& { return std::move(value); });
  }
  // Destroys the value, if there is one. The next Get() makes the initial value again.
  void Remove() const {
    internal::ThreadLocalNode* const found = FindNode("VirtualThreadLocal::Remove()");
    if (found == nullptr) return;
    TakeNode(*found);
    Destroy(*found);
  }

 protected:
  VirtualThreadLocal(Literal name, std::function<T()> initial, std::source_location where,
                     const internal::ThreadLocalOps& ops) noexcept
      : ThreadLocalVariable(name.c_str(), where), initial_(std::move(initial)), ops_(ops) {}

  struct Node : internal::ThreadLocalNode {
    template <class F>
    explicit Node(const internal::ThreadLocalOps& of, F& make) : ThreadLocalNode(of), value(make()) {}

    static void* operator new(size_t size) {
      return internal::AllocateOrDie(size, alignof(Node), "a value of a VirtualThreadLocal");
    }
    static void* operator new(size_t size, std::align_val_t) { return operator new(size); }
    static void operator delete(void* node, size_t size) noexcept { internal::FreeFrame(node, size, alignof(Node)); }
    static void operator delete(void* node, size_t size, std::align_val_t) noexcept { operator delete(node, size); }

    T value;
  };
  static T& ValueOf(internal::ThreadLocalNode& node) noexcept { return static_cast<Node&>(node).value; }
  static void Destroy(internal::ThreadLocalNode& node) noexcept { delete static_cast<Node*>(&node); }

 private:
  template <class F>
  T& Make(std::source_location used_at, F&& make) const {
    Node* const node = new Node(ops_, make);
    Remove();  // what `make` itself has set
    AddNode(*node, used_at);
    return node->value;
  }

  static constexpr internal::ThreadLocalOps kOps = {&Destroy, nullptr};

  const std::function<T()> initial_;
  const internal::ThreadLocalOps& ops_;
};

// Like a VirtualThreadLocal, and copied to threads that its threads make: see "Inheritance". T is copied.
template <class T>
class InheritableVirtualThreadLocal : public VirtualThreadLocal<T> {
  using Base = VirtualThreadLocal<T>;
  static_assert(std::is_copy_constructible_v<T>, "what is inherited is copied");

 public:
  explicit InheritableVirtualThreadLocal(Literal name = "",
                                         std::source_location where = std::source_location::current()) noexcept
      : Base(name, nullptr, where, kOps) {}
  template <class Initial>
    requires std::is_invocable_r_v<T, Initial&>
  InheritableVirtualThreadLocal(Literal name, Initial initial,
                                std::source_location where = std::source_location::current())
      : Base(name, std::function<T()>(std::move(initial)), where, kOps) {}

 private:
  static internal::ThreadLocalNode* Copy(internal::ThreadLocalNode& from) {
    const auto copy = [&from]() -> const T& { return Base::ValueOf(from); };
    return new typename Base::Node(kOps, copy);
  }
  static constexpr internal::ThreadLocalOps kOps = {&Base::Destroy, &Copy};
};

}  // namespace weft

#endif  // WEFT_VIRTUAL_THREAD_LOCAL_H_
