#include "weft/virtual_thread_local.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/thread/describe.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

constinit Atomic<uint64_t> next_key{1};  // relaxed: a number

std::string Place(std::source_location where) { return absl::StrCat(where.file_name(), ":", where.line()); }

// "retries" (file.cc:12)
std::string Label(const char* name, std::source_location where) {
  return absl::StrCat("the thread-local \"", name, "\" (", Place(where), ")");
}

bool Traced() noexcept {
  const char* const traced = std::getenv("WEFT_TRACE_THREAD_LOCALS");
  return traced != nullptr && std::string_view(traced) == "1";
}

}  // namespace

ThreadLocalVariable::ThreadLocalVariable(const char* name, std::source_location where) noexcept
    : key_(next_key.fetch_add(1, std::memory_order_relaxed)), name_(name), where_(where) {}

ThreadLocalNode* ThreadLocalVariable::FindNode(const char* what) const noexcept {
  ThreadIdentity* const identity = RequireThread(what).identity();
  if (identity == nullptr) return nullptr;
  if (identity->last_used != nullptr && identity->last_used->key == key_) return identity->last_used;
  for (ThreadLocalNode* node = identity->locals; node != nullptr; node = node->next) {
    if (node->key == key_) return identity->last_used = node;
  }
  return nullptr;
}

void ThreadLocalVariable::Prepare(std::source_location used_at) const {
  ThreadBlock& self = *CurrentThread();
  WEFT_CHECK(self.Identity().locals_allowed)
      << DescribeThread(self) << " uses " << Label(name_, where_) << " at " << Place(used_at)
      << ", and was built with AllowThreadLocals(false)";
}

void ThreadLocalVariable::AddNode(ThreadLocalNode& node, std::source_location used_at) const noexcept {
  ThreadBlock& self = *CurrentThread();
  ThreadIdentity& identity = *self.identity();
  node.key = key_;
  node.next = identity.locals;
  identity.locals = &node;
  if (node.ops.copy != nullptr) self.state.HandsDown();
  if (!Traced()) [[likely]]
    return;
  const std::string line = absl::StrCat("weft: ", ThreadLabel(self), " first uses ", Label(name_, where_), " at ",
                                        Place(used_at), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void ThreadLocalVariable::TakeNode(ThreadLocalNode& node) const noexcept {
  ThreadIdentity& identity = *CurrentThread()->identity();
  ThreadLocalNode** at = &identity.locals;
  while (*at != &node) at = &(*at)->next;
  *at = node.next;
  identity.last_used = nullptr;
}

void ThreadLocalVariable::DieWithoutInitialValue(std::source_location used_at) const noexcept {
  WEFT_CHECK(false) << DescribeThread(*CurrentThread()) << " gets " << Label(name_, where_) << " at " << Place(used_at)
                    << ", which has no value and no initial one; Set() it first";
  __builtin_unreachable();
}

}  // namespace weft::internal
