#include "weft/internal/thread_block.h"

#include <cstdint>
#include <new>

#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_identity.h"

namespace weft::internal {

ScopeRecord* ThreadBlock::HomeSlow() const noexcept {
  const uintptr_t place = PlaceWord();
  return (place & kOfRuntime) != 0 ? nullptr : reinterpret_cast<ScopeRecord*>(place);
}

RuntimeCore& ThreadBlock::RuntimeSlow() const noexcept {
  const uintptr_t place = PlaceWord();
  if ((place & kOfRuntime) != 0) return *reinterpret_cast<RuntimeCore*>(place - kOfRuntime);
  return reinterpret_cast<ScopeRecord*>(place)->runtime;
}

ThreadIdentity& ThreadBlock::SetIdentity(ThreadIdentity& made) noexcept {
  uintptr_t place = place_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
  while ((place & kKnown) == 0) {
    made.Bind(*this, place);
    // [identity/1] release: pairs with [identity/2], [identity/4], [identity/5], [identity/6], [identity/7]
    // and [identity/10].
    // [identity/4] acquire, failing: pairs with [identity/1]. Another thread has made one.
    if (place_.compare_exchange_strong(place, reinterpret_cast<uintptr_t>(&made) + kKnown, std::memory_order_release,
                                       std::memory_order_acquire)) {
      return made;
    }
  }
  made.Release();
  return *reinterpret_cast<ThreadIdentity*>(place - kKnown);
}

ThreadIdentity& ThreadBlock::Identity() {
  if (ThreadIdentity* const known = identity()) return *known;
  return SetIdentity(*new ThreadIdentity);
}

ThreadIdentity* ThreadBlock::TryIdentity() noexcept {
  if (ThreadIdentity* const known = identity()) return known;
  auto* const made = new (std::nothrow) ThreadIdentity;
  return made == nullptr ? nullptr : &SetIdentity(*made);
}

void ThreadBlock::DropIdentity() noexcept {
  ThreadIdentity* const known = identity();
  if (known == nullptr) return;
  known->ThreadEnded();
  {
    // Whoever walks the threads asks a branch for its name until its scope says that it has ended.
    const LockGuard guard(records_lock);
    place_.store(known->place, std::memory_order_relaxed);  // relaxed: the lock orders it
  }
  known->Release();
}

void ThreadBlock::ReleaseIdentity() noexcept { identity()->Release(); }

void ThreadBlock::SetAsker(Asker by, const CancelCause& cause) noexcept {
  asker = by;
  if (by != Asker::kAlone) return;
  if (home() == nullptr) {
    static_cast<RootBlock*>(this)->cause_ = cause;
  } else if (ThreadIdentity* const known = identity()) {
    known->cause = cause;
  } else {
    asker = static_cast<Asker>(static_cast<uint8_t>(Asker::kAloneOfKind) + cause.kind);
  }
}

const CancelCause& ThreadBlock::CauseAlone() const noexcept {
  return home() == nullptr ? static_cast<const RootBlock*>(this)->cause_ : identity()->cause;
}

void ThreadBlock::KeepCause(const CancelCause& cause) noexcept {
  kept_request = cause.thread | uint64_t{cause.kind} << 56;
  kept_text = cause.text;
  kept_when_ns = cause.when_ns;
  kept_where = cause.where;
}

CancelCause ThreadBlock::kept_cause() const noexcept {
  return {static_cast<CancelReason::Kind>(kept_request >> 56), kept_request & ((uint64_t{1} << 56) - 1), kept_when_ns,
          kept_where, kept_text};
}

// The records outside of a scope do not change while it is open, and it is open as long as it has a thread.
bool ThreadBlock::IsInside(const ScopeRecord& scope) const noexcept {
  for (const ScopeRecord* at = home(); at != nullptr;) {
    if (at == &scope) return true;
    const Record* outer = at->outer;
    while (outer != nullptr && outer->kind != Record::Kind::kScope) outer = outer->outer;
    at = outer != nullptr ? static_cast<const ScopeRecord*>(outer) : at->owner->home();
  }
  return false;
}

}  // namespace weft::internal
