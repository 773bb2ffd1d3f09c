// One binding of a scoped value, in a chain from the innermost outwards. (scoped_value.h)
//
// A chain is shared by all threads that have inherited it. It is immutable, but for what a lookup leaves in the nodes
// that it has passed, for the next one: any thread writes that, and whatever it reads there is true. What is found from
// a node lies outside of it, was made before it, and stays as long; so a relaxed word is enough.
#ifndef WEFT_INTERNAL_BINDING_H_
#define WEFT_INTERNAL_BINDING_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

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
  // bound; what was sought before, from here or from further out, is known at once, bound or not.
  const BindingNode* Find(const void* sought) const noexcept {
    const uint64_t bit = Bit(sought);
    const uint32_t slot = Hash(sought) % kKnown;
    const BindingNode* found = nullptr;
    const BindingNode* at = this;
    for (; at != nullptr && (at->keys_ & bit) != 0; at = at->outer) {
      if (at->key == sought) {
        found = at;
        break;
      }
      const uintptr_t known = at->known_[slot].load(std::memory_order_relaxed);
      if (known == Unbound(sought)) break;
      if (known != 0 && (known & kUnbound) == 0 && NodeAt(known)->key == sought) {
        found = NodeAt(known);
        break;
      }
    }
    if (at != this) Leave(at, slot, found == nullptr ? Unbound(sought) : reinterpret_cast<uintptr_t>(found));
    return found;
  }

  const void* key;    // the ScopedValue
  const void* value;  // what it is bound to
  const BindingNode* outer;
  std::source_location where = {};  // it was made

 private:
  static constexpr uint32_t kKnown = 4;
  static constexpr uintptr_t kUnbound = 1;

  // A ScopedValue is aligned to eight bytes, so that neighbours differ here, and one bit of its address is free.
  static uint32_t Hash(const void* of) noexcept {
    return static_cast<uint32_t>((reinterpret_cast<uintptr_t>(of) >> 3) * 0x9e3779b97f4a7c15u >> 58);
  }
  static uint64_t Bit(const void* of) noexcept { return uint64_t{1} << Hash(of); }

  static uintptr_t Unbound(const void* sought) noexcept { return reinterpret_cast<uintptr_t>(sought) | kUnbound; }
  static const BindingNode* NodeAt(uintptr_t known) noexcept { return reinterpret_cast<const BindingNode*>(known); }

  // In this node, where it replaces what was known, and in the free slots from here to `end`: a binding that is made in
  // place of this one, and looks for the same, finds it in the next.
  void Leave(const BindingNode* end, uint32_t slot, uintptr_t known) const noexcept {
    known_[slot].store(known, std::memory_order_relaxed);
    for (const BindingNode* at = outer; at != end; at = at->outer) {
      if (at->known_[slot].load(std::memory_order_relaxed) != 0) continue;
      at->known_[slot].store(known, std::memory_order_relaxed);
    }
  }

  uint64_t keys_;  // a Bloom filter of those bound from here outwards
  // What was sought from here or from further in: where it is bound, or that it is not (Unbound()). relaxed: the nodes
  // are constant, and older than whoever may look from them.
  mutable Atomic<uintptr_t> known_[kKnown] = {};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BINDING_H_
