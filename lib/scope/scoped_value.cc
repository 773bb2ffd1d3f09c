#include "weft/scoped_value.h"

#include <atomic>
#include <cstdint>
#include <source_location>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/binding.h"
#include "weft/internal/cancellable_scope.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

std::string Line(std::source_location where) { return absl::StrCat(where.file_name(), ":", where.line()); }

// A ScopedValue is aligned to eight bytes, so that neighbours differ here, and one bit of its address is free.
uint32_t Hash(const void* of) noexcept {
  return static_cast<uint32_t>((reinterpret_cast<uintptr_t>(of) >> 3) * 0x9e3779b97f4a7c15u >> 58);
}
uint64_t Bit(const void* of) noexcept { return uint64_t{1} << Hash(of); }

// What a node knows: a node, or this.
constexpr uintptr_t kUnbound = 1;
uintptr_t Unbound(const void* sought) noexcept { return reinterpret_cast<uintptr_t>(sought) | kUnbound; }
const BindingNode* NodeAt(uintptr_t known) noexcept { return reinterpret_cast<const BindingNode*>(known); }

}  // namespace

void BindingNode::Set(const void* bound_key, const void* bound_value, const BindingNode* next) noexcept {
  key = bound_key;
  value = bound_value;
  outer = next;
  keys_ = Bit(bound_key) | (next == nullptr ? 0 : next->keys_);
}

// For most keys that are not bound a look at a mask says so. A key that was sought before, from here or from further
// out, is answered from the cache, bound or not.
const BindingNode* BindingNode::Find(const void* sought) const noexcept {
  const uint64_t bit = Bit(sought);
  const uint32_t slot = Hash(sought) % kKnown;
  const BindingNode* found = nullptr;
  const BindingNode* at = this;
  for (; at != nullptr && (at->keys_ & bit) != 0; at = at->outer) {
    if (at->key == sought) {
      found = at;
      break;
    }
    const uintptr_t known = at->Known(sought, slot);
    if (known == 0) continue;
    if (known != Unbound(sought)) found = NodeAt(known);
    break;
  }
  if (at != this) Leave(at, slot, found == nullptr ? Unbound(sought) : reinterpret_cast<uintptr_t>(found));
  return found;
}

// What this node knows of a key; 0: nothing. It is in the key's own slot, if that was free.
uintptr_t BindingNode::Known(const void* sought, uint32_t slot) const noexcept {
  for (uint32_t i = 0; i < kKnown; ++i) {
    const uintptr_t known = known_[(slot + i) % kKnown].load(std::memory_order_relaxed);
    if (known == 0) return 0;
    if ((known & kUnbound) != 0 ? known == Unbound(sought) : NodeAt(known)->key == sought) return known;
  }
  return 0;
}

// Writes the answer into this node, where it may replace another, and into the free slots from here to `end`. So a
// binding that is made later in place of this one, and looks for the same key, finds the answer in the next node.
void BindingNode::Leave(const BindingNode* end, uint32_t slot, uintptr_t known) const noexcept {
  if (!LeaveIfFree(slot, known)) known_[slot].store(known, std::memory_order_relaxed);
  for (const BindingNode* at = outer; at != end; at = at->outer) at->LeaveIfFree(slot, known);
}

// False: all slots are taken.
bool BindingNode::LeaveIfFree(uint32_t slot, uintptr_t known) const noexcept {
  for (uint32_t i = 0; i < kKnown; ++i) {
    const uint32_t at = (slot + i) % kKnown;
    if (known_[at].load(std::memory_order_relaxed) != 0) continue;
    known_[at].store(known, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void BindingBase::Bind(const void* key, const void* value, std::source_location where) noexcept {
  thread_ = &RequireThread("binding a ScopedValue");
  records_ = thread_->records.load(std::memory_order_relaxed);
  node_.Set(key, value, thread_->bindings);
  node_.where = where;
  thread_->bindings = &node_;
}

void BindingBase::Unbind() noexcept {
  ThreadBlock& self = RequireThread("the end of a ScopedBinding");
  WEFT_CHECK(&self == thread_) << "a ScopedBinding of " << DescribeThread(*thread_) << " is ended by "
                               << DescribeThread(self);
  WEFT_CHECK(self.bindings == &node_)
      << "a ScopedBinding of " << DescribeThread(self) << " made at " << Line(node_.where)
      << " is ended while one that was made later is not; end them in the reverse order: "
      << (self.bindings == nullptr ? "none is left" : Line(self.bindings->where));
  // The address of a binding may be used again; that nothing opened inside is left open is checked by itself.
  const Record* const innermost = self.records.load(std::memory_order_relaxed);
  WEFT_CHECK(innermost == records_) << "a ScopedBinding of " << DescribeThread(self) << " made at " << Line(node_.where)
                                    << " is ended while a scope that was opened under it is still open: "
                                    << (innermost == nullptr ? "one of another thread's" : DescribeRecord(*innermost));
  self.bindings = node_.outer;
}

// A thread that awaits a call has its bindings until that has returned.
static const ThreadBlock* WhoseBindings() noexcept {
  const ThreadBlock* const current = CurrentThread();
  return current != nullptr ? current : CallingThread();
}

const void* FindBinding(const void* key) noexcept {
  const ThreadBlock* const self = WhoseBindings();
  if (self == nullptr || self->bindings == nullptr) return nullptr;
  const BindingNode* found = self->bindings->Find(key);
  return found == nullptr ? nullptr : found->value;
}

void DieUnbound() noexcept {
  const ThreadBlock* const self = WhoseBindings();
  WEFT_CHECK(false) << "ScopedValue::Get() of a value that is not bound on "
                    << (self == nullptr ? std::string("this OS thread, which runs no virtual thread")
                                        : DescribeThread(*self));
  __builtin_unreachable();
}

}  // namespace weft::internal
