#include "lib/driver/driver_base.h"

#include <algorithm>
#include <cstddef>

#include "lib/driver/request_facts.h"

namespace weft::internal {
namespace {

// What one call moves at most, as for read(2) and write(2).
constexpr size_t kMaxTransferBytes = 0x7ffff000;

}  // namespace

bool DriverBase::Begin(Operation& op) noexcept {
  op.driver = this;
  op.slot = nullptr;
  op.cancelled = false;
  if (!FactsOf(op.request.code).transfers) return false;
  op.request.transfer.length = std::min(op.request.transfer.length, kMaxTransferBytes);
  op.result = 0;
  return op.request.transfer.length == 0;
}

}  // namespace weft::internal
