#include "weft/internal/thread_identity.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "lib/base/list.h"
#include "lib/os/futex.h"
#include "lib/thread/describe.h"
#include "lib/thread/thread_end.h"
#include "lib/thread/wait_node.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// Afterwards the identity may be gone: of `stage` only the address is used.
void LetGoOn(Atomic<uint32_t>& stage, uint32_t before, WaitNodes& joined) noexcept {
  if ((before & ThreadEnd::kAwaited) != 0) FutexWake(stage, INT32_MAX);
  while (WaitNode* const node = joined.PopFront()) Wake(Waiters::ThreadOf(*node));
}

}  // namespace

ThreadIdentity::ThreadIdentity(std::string thread_name) noexcept
    : name(std::move(thread_name)), stage(ThreadEnd::kOneReference) {}

void ThreadIdentity::AddRef() noexcept { ThreadEnd(stage).AddReference(); }
void ThreadIdentity::Release() noexcept {
  if (ThreadEnd(stage).ReleaseLast()) Unreferenced();
}

bool ThreadIdentity::unstarted() const noexcept {
  // relaxed: a hint, or under the lock.
  return (stage.load(std::memory_order_relaxed) & ThreadEnd::kUnstarted) != 0;
}
void ThreadIdentity::MarkStarted() noexcept {
  // relaxed: whoever joins waits for the end.
  stage.fetch_and(~uint32_t{ThreadEnd::kUnstarted}, std::memory_order_relaxed);
}
bool ThreadIdentity::ended() const noexcept { return ThreadEnd(stage).ended(); }
bool ThreadIdentity::Attend() noexcept { return ThreadEnd(stage).Attend(); }
ThreadBlock* ThreadIdentity::AttendLocked() const noexcept { return ThreadEnd(stage).Attend() ? nullptr : thread_; }

void ThreadIdentity::Bind(ThreadBlock& thread, uintptr_t of_thread) noexcept {
  id = thread.id;
  place = of_thread;
  thread_ = &thread;
}

// Returns the stage as it was before.
uint32_t ThreadIdentity::EndLocked(WaitNodes& joined) noexcept {
  thread_ = nullptr;
  std::lock_guard guard(joiners.lock);
  joiners.GrantAll(joined);
  return ThreadEnd(stage).EndAttended();
}

void ThreadIdentity::CheckNoPins() const noexcept {
  WEFT_CHECK(pins.load(std::memory_order_relaxed) == 0)
      << ThreadLabel(*thread_) << " ends, and a weft::Pin that it has made is left; keep it in a frame of that thread";
}

bool ThreadIdentity::EndAlone() noexcept {
  CheckNoPins();
  switch (ThreadEnd(stage).EndAlone()) {
    case ThreadEnd::Alone::kNo: return false;
    case ThreadEnd::Alone::kReferred: return true;
    case ThreadEnd::Alone::kLast: Unreferenced(); return true;
  }
  __builtin_unreachable();
}

void ThreadIdentity::ThreadEnded() noexcept {
  DestroyLocals();
  CheckNoPins();
  WaitNodes joined;
  uint32_t before;
  {
    std::lock_guard guard(lock_);
    before = EndLocked(joined);
  }
  LetGoOn(stage, before, joined);
}

// The caller has no reference. Whoever drops the last one takes the lock before it destroys a thread that was not
// started.
bool ThreadIdentity::EndUnstarted(const CancelCause& cause) noexcept {
  WaitNodes joined;
  uint32_t before;
  {
    std::lock_guard guard(lock_);
    if (!unstarted() || ended()) return false;
    {
      std::lock_guard records(thread_->records_lock);
      if (!thread_->asked()) thread_->SetAsker(Asker::kAlone, cause);
    }
    before = EndLocked(joined);
  }
  LetGoOn(stage, before, joined);
  return true;
}

// A destructor may use thread-locals.
void ThreadIdentity::DestroyLocals() noexcept {
  while (ThreadLocalNode* const node = locals) {
    locals = node->next;
    last_used = nullptr;
    node->ops.destroy(*node);
  }
}

void ThreadIdentity::InheritLocals(const ThreadIdentity& from) {
  ThreadLocalNode** last = &locals;
  for (ThreadLocalNode* node = from.locals; node != nullptr; node = node->next) {
    if (node->ops.copy == nullptr) continue;
    ThreadLocalNode* const copy = node->ops.copy(*node);
    copy->key = node->key;
    *last = copy;
    last = &copy->next;
  }
}

// A thread of a scope, or of a Run(): its failure is told there.
absl::Status ThreadIdentity::Outcome() { return absl::OkStatus(); }

}  // namespace weft::internal
