#include "weft/pin.h"

#include <cstdint>
#include <limits>

#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"

namespace weft {

using internal::ThreadBlock;

Pin::Pin() : pinned_(internal::RequireThread("weft::Pin").Identity()) {
  const uint16_t pins = pinned_.pins.load(std::memory_order_relaxed);  // relaxed: one writer
  WEFT_CHECK(pins < std::numeric_limits<uint16_t>::max())
      << internal::DescribeThread(*internal::CurrentThread()) << " has " << pins << " Pins, which is the most";
  pinned_.pins.store(static_cast<uint16_t>(pins + 1), std::memory_order_relaxed);  // relaxed: as above
  if (pins == 0) internal::CountPinned(1);
  pinned_.AddRef();
}

Pin::~Pin() {
  const ThreadBlock* const self = internal::CurrentThread();
  WEFT_CHECK(self != nullptr && self->identity() == &pinned_)
      << "a weft::Pin of " << internal::ThreadLabel(pinned_.id) << " is destroyed by " << internal::DescribeCaller()
      << "; keep it in a frame of the thread that it pins";
  const uint16_t pins = pinned_.pins.load(std::memory_order_relaxed);              // relaxed: one writer
  pinned_.pins.store(static_cast<uint16_t>(pins - 1), std::memory_order_relaxed);  // relaxed: as above
  if (pins == 1) internal::CountPinned(-1);
  pinned_.Release();
}

}  // namespace weft
