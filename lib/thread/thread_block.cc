#include "weft/internal/thread_block.h"

#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_identity.h"

namespace weft::internal {

ThreadIdentity& ThreadBlock::Identity() {
  ThreadIdentity* known = identity.load(std::memory_order_relaxed);
  if (known == nullptr) {
    known = new ThreadIdentity;
    known->Bind(*this);
    identity.store(known, std::memory_order_release);  // [identity/1] release: pairs with [identity/2]
  }
  return *known;
}

// The records outside of a scope do not change while it is open, and it is open as long as it has a thread.
bool ThreadBlock::IsInside(const ScopeRecord& scope) const noexcept {
  for (const ScopeRecord* at = home; at != nullptr;) {
    if (at == &scope) return true;
    const Record* outer = at->outer;
    while (outer != nullptr && outer->kind != Record::Kind::kScope) outer = outer->outer;
    at = outer != nullptr ? static_cast<const ScopeRecord*>(outer) : at->owner->home;
  }
  return false;
}

}  // namespace weft::internal
