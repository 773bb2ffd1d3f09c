// Unit: what stands for a result where there is none and something must stand, as in the tuple of All() and in the
// variant of Select(). Like std::monostate, whose header costs whoever includes it 1,400 lines.
//
//   auto [user, unit] = co_await weft::All(AskUser(), Touch());  // Touch() is a Task<void>
#ifndef WEFT_UNIT_H_
#define WEFT_UNIT_H_

#include "weft/internal/compiler.h"

namespace weft {

struct Unit {
  friend constexpr bool operator==(Unit, Unit) noexcept { return true; }
};

}  // namespace weft

#endif  // WEFT_UNIT_H_
