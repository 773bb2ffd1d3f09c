// One binding of a scoped value, in a chain from the innermost outwards. (scoped_value.h)
//
// A chain is shared by all threads that have inherited it. It is immutable, but for what a lookup leaves in the node that it
// began at, for the next one: any thread writes that, and whatever it reads there is true. What is found from a node lies
// outside of it, was made before it, and stays as long; so a relaxed pointer is enough.
#ifndef WEFT_INTERNAL_BINDING_H_
#define WEFT_INTERNAL_BINDING_H_

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class BindingNode {
 public:
  BindingNode() = default;
  BindingNode(const BindingNode&) = delete;
  BindingNode& operator=(const BindingNode&) = delete;

  // Once, by the thread that binds. `outer` may be null.
  void Set(const void* bound_key, const void* bound_value, const BindingNode* next) noexcept {
    key = bound_key;
    value = bound_value;
    outer = next;
    keys_ = Bit(bound_key) | (next == nullptr ? 0 : next->keys_);
  }

  // The innermost binding of `sought` from here outwards, or null. One look at a mask tells most of those that are not
  // bound; one that was found from here before, or from the node outside of this, is found at once.
  const BindingNode* Find(const void* sought) const noexcept {
    const uint64_t bit = Bit(sought);
    const uint32_t slot = Hash(sought) % kFound;
    for (const BindingNode* at = this; at != nullptr && (at->keys_ & bit) != 0; at = at->outer) {
      const BindingNode* found = at->key == sought ? at : at->found_[slot].load(std::memory_order_relaxed);
      if (found == nullptr || found->key != sought) continue;
      if (found != this && at != this) found_[slot].store(found, std::memory_order_relaxed);
      return found;
    }
    return nullptr;
  }

  const void* key;    // the ScopedValue
  const void* value;  // what it is bound to
  const BindingNode* outer;

 private:
  static constexpr uint32_t kFound = 4;

  static uint32_t Hash(const void* of) noexcept {
    return static_cast<uint32_t>((reinterpret_cast<uintptr_t>(of) >> 3) * 0x9e3779b97f4a7c15u >> 58);
  }
  static uint64_t Bit(const void* of) noexcept { return uint64_t{1} << Hash(of); }

  uint64_t keys_;  // a Bloom filter of those bound from here outwards
  mutable Atomic<const BindingNode*> found_[kFound] = {};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BINDING_H_
