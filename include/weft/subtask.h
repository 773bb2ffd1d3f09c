// Subtask<T>: a handle to a forked child, and to its result once it has one.
//
//   auto user = scope.Fork(FetchUser(id));   // Subtask<User>
//   ...join...
//   Use(*user);
//
// A handle can be copied, and may outlive the scope. The scope's owner may read it after a Join() that came after the
// Fork(). Another thread may read it as soon as the child has completed. Reading earlier, or reading a result that does
// not exist or was moved out, is a CHECK that says so.
//
// A result that nobody can read is destroyed at once. If the child was cancelled, or has no handle left at its end, the
// child destroys it. Otherwise the thread that drops the last handle does.
//
// AnySubtask is the same without the type of the result: what a policy sees of a scope whose subtasks are of any type.
// (policy.h)
//
// Memory ordering: what the child did happens before get(), status() and exception() return.
#ifndef WEFT_SUBTASK_H_
#define WEFT_SUBTASK_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/check.h"
#include "weft/internal/child.h"

namespace weft {

class AnySubtask;

namespace internal {

// For the result of a join, by the owner. False: the child has not ended, as a thread of a scope inside has forked it
// since the join's last look. True: the owner may read its result. (child.cc)
bool HasEndedForOwner(const AnySubtask& subtask) noexcept;

}  // namespace internal

class AnySubtask {
 public:
  enum class State : uint8_t {
    kUnavailable,  // not completed; or cancelled, never started, or completed after the scope was shut down
    kSuccess,
    kFailed,
  };

  AnySubtask(const AnySubtask& other) noexcept : child_(other.child_) {
    if (child_ != nullptr) child_->AddRef();
  }
  AnySubtask(AnySubtask&& other) noexcept : child_(std::exchange(other.child_, nullptr)) {}
  AnySubtask& operator=(AnySubtask other) noexcept {
    std::swap(child_, other.child_);
    return *this;
  }
  ~AnySubtask() {
    if (child_ != nullptr) child_->Release();
  }

  State state() const noexcept { return static_cast<State>(child().completion()); }

  // OK if the subtask succeeded, its failure if it failed, else kUnavailable.
  absl::Status status() const { return child().status(); }
  // What a failed subtask threw; null if it returned a status.
  std::exception_ptr exception() const {
    child().CheckResultMayBeRead("Subtask::exception()", internal::Completion::kFailed);
    return child().exception();
  }

  // True if the result was moved out, by std::move(subtask).get() of any handle or by a join. Then get() is a CHECK.
  bool taken() const noexcept { return child().taken(); }

  uint64_t thread_id() const noexcept { return child().id; }

  // True for handles of the same child.
  friend bool operator==(const AnySubtask& a, const AnySubtask& b) noexcept { return a.child_ == b.child_; }

 protected:
  friend class internal::ScopeBase;
  friend bool internal::HasEndedForOwner(const AnySubtask& subtask) noexcept;
  explicit AnySubtask(internal::ChildBase* child) noexcept : child_(child) {}  // takes over one reference

  internal::ChildBase& child() const noexcept {
    WEFT_CHECK(child_ != nullptr) << "a Subtask that was moved from is used";
    return *child_;
  }

 private:
  internal::ChildBase* child_;
};

template <class T>
class Subtask : public AnySubtask {
 public:
  using Value = T;
  using State = AnySubtask::State;

  // The result of a subtask that succeeded. Of Subtask<void>: checks that it succeeded.
  std::add_lvalue_reference_t<T> get() const& {
    child().CheckResultMayBeRead("Subtask::get()", internal::Completion::kSuccess);
    if constexpr (!std::is_void_v<T>) return *static_cast<internal::ChildOf<T>&>(child()).value();
  }
  // Moves the result out: from then on get() is a CHECK, by any handle. A reference or a trivially copyable T stays.
  T get() && {
    if constexpr (std::is_void_v<T>) {
      std::as_const(*this).get();
    } else {
      auto& value = std::as_const(*this).get();
      if constexpr (!std::is_reference_v<T> && !std::is_trivially_copyable_v<T>) child().Take();
      return static_cast<T&&>(value);
    }
  }
  std::add_lvalue_reference_t<T> operator*() const { return get(); }
  auto* operator->() const
    requires(!std::is_void_v<T>)
  {
    return &get();
  }

 private:
  friend class internal::ScopeBase;
  explicit Subtask(internal::ChildBase* child) noexcept : AnySubtask(child) {}
};

}  // namespace weft

#endif  // WEFT_SUBTASK_H_
