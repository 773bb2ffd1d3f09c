// The closure of a virtual thread. It is kept until the frames that it made are gone, so that what it captured is there
// as long as the coroutine that refers to it; then it is destroyed, once, by the thread itself.
#ifndef WEFT_INTERNAL_KEPT_CLOSURE_H_
#define WEFT_INTERNAL_KEPT_CLOSURE_H_

#include "weft/internal/compiler.h"

#include <exception>
#include <type_traits>
#include <utility>

#include "weft/internal/promise.h"

namespace weft::internal {

template <class F>
class KeptClosure {
 public:
  template <class G>
  explicit KeptClosure(std::in_place_t, G&& closure) noexcept(std::is_nothrow_constructible_v<F, G&&>)
      : closure_(std::forward<G>(closure)) {}
  KeptClosure(const KeptClosure&) = delete;
  KeptClosure& operator=(const KeptClosure&) = delete;
  ~KeptClosure() { Drop(); }

  F& get() noexcept { return closure_; }
  void Drop() noexcept {
    if (std::exchange(dropped_, true)) return;
    closure_.~F();
  }
  // Returns begin(closure): the root frame, or null if nothing is left to run. What that throws is put into `slot`.
  template <class Slot, class Begin>
  PromiseBase* Run(Slot& slot, Begin begin) noexcept {
#if WEFT_EXCEPTIONS
    try {
      return begin(closure_);
    } catch (...) {
      slot.SetException(std::current_exception());
      return nullptr;
    }
#else
    static_cast<void>(slot);
    return begin(closure_);
#endif
  }

 private:
  union {
    F closure_;
  };
  bool dropped_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_KEPT_CLOSURE_H_
