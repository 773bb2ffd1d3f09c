#include "weft/channel/generator.h"

#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

void CheckNothingIsOpen(const ThreadBlock& thread, const Record* records, const BindingNode* bindings) noexcept {
  // relaxed: the thread's own.
  WEFT_CHECK(thread.records.load(std::memory_order_relaxed) == records)
      << "co_yield of a Generator by " << DescribeThread(thread)
      << " inside a scope or a boundary that the generator has open: that would be around its caller";
  WEFT_CHECK(thread.bindings == bindings)
      << "co_yield of a Generator by " << DescribeThread(thread)
      << " while the generator has a ScopedValue bound: its caller would see that";
}

}  // namespace weft::internal
