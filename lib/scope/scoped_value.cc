#include "weft/scoped_value.h"

#include <source_location>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/thread/describe.h"
#include "weft/internal/binding.h"
#include "weft/internal/check.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/scope_base.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {
namespace {

std::string Line(std::source_location where) { return absl::StrCat(where.file_name(), ":", where.line()); }

}  // namespace

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

const void* FindBinding(const void* key) noexcept {
  const ThreadBlock* self = CurrentThread();
  if (self == nullptr || self->bindings == nullptr) return nullptr;
  const BindingNode* found = self->bindings->Find(key);
  return found == nullptr ? nullptr : found->value;
}

void DieUnbound() noexcept {
  ThreadBlock* self = CurrentThread();
  WEFT_CHECK(false) << "ScopedValue::Get() of a value that is not bound on "
                    << (self == nullptr ? std::string("this OS thread, which runs no virtual thread")
                                        : DescribeThread(*self));
  __builtin_unreachable();
}

}  // namespace weft::internal
