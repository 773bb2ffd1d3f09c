// Subtask<T>: a handle to a forked child, and to its result once it has one.
//
//   auto user = scope.Fork(FetchUser(id));   // Subtask<User>
//   ...join...
//   Use(*user);
//
// A handle is shared with its child and movable; dropping it frees the result as soon as the child has ended. It may outlive the
// scope. The owner of the scope looks at it after a Join() that came after the Fork(); another thread may look as soon as the child
// has completed. Looking earlier, or for what is not there, is a CHECK that says so.
//
// Memory ordering: what the child did happens before get(), status() and exception() return.
#ifndef WEFT_SUBTASK_H_
#define WEFT_SUBTASK_H_

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/child.h"

namespace weft {

template <class T>
class Subtask {
 public:
  enum class State : uint8_t {
    kUnavailable,  // not completed; or cancelled, never started, or completed after the scope was shut down
    kSuccess,
    kFailed,
  };

  Subtask(Subtask&& other) noexcept : child_(std::exchange(other.child_, nullptr)) {}
  Subtask& operator=(Subtask&& other) noexcept {
    std::swap(child_, other.child_);
    return *this;
  }
  ~Subtask() {
    if (child_ != nullptr) child_->Release();
  }

  State state() const noexcept { return static_cast<State>(child_->completion()); }

  // The result of a subtask that succeeded. For void: checks that it did.
  std::add_lvalue_reference_t<T> get() const& {
    child_->CheckResultMayBeRead("Subtask::get()", internal::Completion::kSuccess);
    if constexpr (!std::is_void_v<T>) return *child_->value();
  }
  T get() && {
    child_->CheckResultMayBeRead("Subtask::get()", internal::Completion::kSuccess);
    if constexpr (!std::is_void_v<T>) return static_cast<T&&>(*child_->value());  // moved out; a T& stays what it is
  }
  std::add_lvalue_reference_t<T> operator*() const { return get(); }
  auto* operator->() const
    requires(!std::is_void_v<T>)
  {
    return &get();
  }

  // OK if it succeeded, how it failed if it did, else kUnavailable.
  absl::Status status() const { return child_->status(); }
  // What a failed subtask threw; null if it returned a status.
  std::exception_ptr exception() const {
    child_->CheckResultMayBeRead("Subtask::exception()", internal::Completion::kFailed);
    return child_->exception();
  }

  uint64_t thread_id() const noexcept { return child_->id; }

 private:
  friend class internal::ScopeBase;
  explicit Subtask(internal::ChildOf<T>* child) noexcept : child_(child) {}  // takes over one reference

  internal::ChildOf<T>* child_;
};

}  // namespace weft

#endif  // WEFT_SUBTASK_H_
