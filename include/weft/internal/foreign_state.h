// A virtual thread whose foreign coroutine has been suspended. The protocol is in lib/runtime/foreign_state.h.
#ifndef WEFT_INTERNAL_FOREIGN_STATE_H_
#define WEFT_INTERNAL_FOREIGN_STATE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class ForeignState {
 public:
  [[nodiscard]] inline bool Park() noexcept;
  [[nodiscard]] inline bool End() noexcept;
  inline bool ended() const noexcept;

 private:
  static constexpr uint32_t kInline = 0;  // on the stack of the carrier, as far as anybody knows
  static constexpr uint32_t kParked = 1;
  static constexpr uint32_t kEnded = 2;

  Atomic<uint32_t> word_{kInline};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_FOREIGN_STATE_H_
