#include "lib/runtime/inspect.h"

#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/cancel/cancel_request.h"
#include "lib/thread/records.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {
namespace {

struct Walk {
  void (*visit)(ThreadBlock& thread, void* argument);
  void* argument;
};

void WalkDown(ThreadBlock& thread, void* argument) {
  const Walk& walk = *static_cast<const Walk*>(argument);
  const RecordsWatch watch(thread);  // also keeps the identity
  walk.visit(thread, walk.argument);
  for (Record* at = InnermostRecord(thread); at != nullptr; at = at->outer) {
    if (at->kind == Record::Kind::kScope) static_cast<ScopeRecord*>(at)->ForEachChild(WalkDown, argument);
  }
}

struct Description {
  const Annotate& annotate;
  std::string text;
};

void Describe(ThreadBlock& thread, void* argument) {
  auto& [annotate, text] = *static_cast<Description*>(argument);
  absl::StrAppend(&text, "  ", DescribeThread(thread));
  if (const WaitKind* wait = thread.wait.load(std::memory_order_relaxed)) {
    absl::StrAppend(&text, " in ", ParkReasonName(wait->reason));
  }
  if (annotate != nullptr) absl::StrAppend(&text, annotate(thread));
  if (thread.home() != nullptr) absl::StrAppend(&text, ", forked by #", thread.home()->owner->id);
  absl::StrAppend(&text, "\n");
}

// Calls visit(thread, argument) for every thread that is known, before its children, under the locks above them.
void ForEachThread(RuntimeCore& runtime, void (*visit)(ThreadBlock& thread, void* argument), void* argument) noexcept {
  Walk walk{visit, argument};
  runtime.roots.ForEach(WalkDown, &walk);
}

}  // namespace

// Delivers again every request that a shield had hidden. The threads are collected first, because delivering takes the
// locks that ForEachThread() holds.
void LiftShields(RuntimeCore& runtime) noexcept {
  runtime.shields_lifted = true;
  std::vector<ThreadBlock*> threads;
  ForEachThread(
      runtime,
      [](ThreadBlock& thread, void* argument) {
        static_cast<std::vector<ThreadBlock*>*>(argument)->push_back(&thread);
      },
      &threads);
  for (ThreadBlock* thread : threads) {
    if (!thread->state.Observe().requested()) continue;
    bool runnable = false;
    {
      std::lock_guard guard(thread->records_lock);
      runnable = DeliverAll(*thread, InnermostRecord(*thread));
    }
    if (runnable) WakeDelivered(*thread);
  }
  RunShutdowns(runtime);
}

std::string DescribeThreads(RuntimeCore& runtime, const Annotate& annotate) noexcept {
  Description description{annotate, {}};
  ForEachThread(runtime, Describe, &description);
  return description.text;
}

}  // namespace weft::internal
