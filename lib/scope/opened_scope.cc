#include "weft/internal/opened_scope.h"

#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/runtime/calling_carrier.h"
#include "lib/thread/describe.h"
#include "weft/internal/binding.h"
#include "weft/internal/cancellable_scope.h"
#include "weft/internal/check.h"

namespace weft::internal {

std::string OpenedScope::Describe() const {
  const std::string quoted = name_ == nullptr ? "" : absl::StrCat("'", *name_, "' ");
  return absl::StrCat("the scope ", quoted, "opened at ", where_.file_name(), ":", where_.line());
}

void OpenedScope::SetName(std::string_view name) { name_ = std::make_unique<const std::string>(name); }

std::string DescribeRecord(const Record& record) {
  const CancellableScope* const scope =
      record.kind == Record::Kind::kScope ? CancellableScope::From(static_cast<const ScopeRecord&>(record)) : nullptr;
  return scope == nullptr ? "a boundary" : scope->Describe();
}

// ---- Which threads may call.

void OpenedScope::CheckOwner(const char* what) const {
  if (!CallingCarrier().Runs(*owner)) [[unlikely]]
    DieOfOther(what);
}

void OpenedScope::DieOfOther(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner) << what << " by " << DescribeThread(self) << "; the scope is owned by "
                             << DescribeThread(*owner);
  __builtin_unreachable();
}

void OpenedScope::CheckOwnerOrInside(const char* what) const {
  ThreadBlock& self = RequireThread(what);
  WEFT_CHECK(&self == owner || self.IsInside(*this))
      << what << " by " << DescribeThread(self) << "; the scope is owned by " << DescribeThread(*owner)
      << ", and the caller is not in the tree below it";
}

void OpenedScope::CheckJoin(const char* what) const {
  if (!CallingCarrier().Runs(*owner) || closed()) [[unlikely]]
    DieOfJoin(what);
}

void OpenedScope::DieOfJoin(const char* what) const {
  CheckOwner(what);
  WEFT_CHECK(!closed()) << what << " of a scope that is closed, by " << DescribeThread(*owner);
  __builtin_unreachable();
}

void OpenedScope::CheckFork(const ThreadBlock& self) const {
  if (&self != owner) CheckOwnerOrInside("Fork()");
  WEFT_CHECK(!closed()) << "Fork() by " << DescribeThread(self) << " into a scope that is closed";
  WEFT_CHECK(self.bindings == bindings_)
      << "Fork() by " << DescribeThread(self)
      << " under other scoped-value bindings than those the scope was opened under by " << DescribeThread(*owner);
}

void OpenedScope::CheckForkDaemon(const ThreadBlock& self) const {
  WEFT_CHECK(&self == owner) << "ForkDaemon() by " << DescribeThread(self) << "; the scope is owned by "
                             << DescribeThread(*owner) << ", and only the owner, who joins, starts daemons";
}

// ---- What is open inside.

// Scopes that are closed, but not destroyed, are allowed. So are boundaries, because the call may be made inside them;
// if the scope is destroyed inside one, PopRecord() finds that.
void OpenedScope::CheckOnlyBoundariesInside(std::source_location closed_at) const {
  const auto die = [&](const std::string& inside) {
    const std::string at =
        closed_at.line() == 0 ? "" : absl::StrCat(" at ", closed_at.file_name(), ":", closed_at.line());
    WEFT_CHECK(false) << Describe() << " by virtual thread #" << owner->id << " is closed" << at
                      << " while something that was opened inside it is still open; close them in the reverse order: "
                      << inside;
  };
  const Record* at = owner->records.load(std::memory_order_relaxed);
  for (; at != nullptr && at != this; at = at->outer) {
    if (at->kind != Kind::kScope) continue;
    const CancellableScope* const scope = CancellableScope::From(static_cast<const ScopeRecord&>(*at));
    if (scope != nullptr && !scope->closed()) die(scope->Describe());
  }
  if (owner->bindings == bindings_) return;
  const std::source_location bound = owner->bindings->where;
  die(absl::StrCat("a ScopedBinding made at ", bound.file_name(), ":", bound.line()));
}

}  // namespace weft::internal
