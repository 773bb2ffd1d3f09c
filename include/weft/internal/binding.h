// One binding of a scoped value, in a chain from the innermost outwards. (scoped_value.h)
//
// All threads that have inherited a chain share it. It is immutable, except for a cache: a lookup leaves its answer in
// the nodes that it passes. Any thread writes there, and every answer that is found there is true. A relaxed word is
// enough, because a node that is found from another node was made before it and lives at least as long.
// (scoped_value.cc)
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
  void Set(const void* bound_key, const void* bound_value, const BindingNode* next) noexcept;
  // The innermost binding of `sought` from here outwards, or null.
  const BindingNode* Find(const void* sought) const noexcept;

  const void* key;    // the ScopedValue
  const void* value;  // what it is bound to
  const BindingNode* outer;
  std::source_location where = {};  // it was made

 private:
  static constexpr uint32_t kKnown = 4;

  uintptr_t Known(const void* sought, uint32_t slot) const noexcept;
  void Leave(const BindingNode* end, uint32_t slot, uintptr_t known) const noexcept;
  bool LeaveIfFree(uint32_t slot, uintptr_t known) const noexcept;

  uint64_t keys_;  // a Bloom filter of those bound from here outwards
  // The cache: for keys that were sought from here or from further in, where they are bound, or that they are not
  // (Unbound()). relaxed: the nodes are constant, and older than any lookup from here.
  mutable Atomic<uintptr_t> known_[kKnown] = {};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BINDING_H_
