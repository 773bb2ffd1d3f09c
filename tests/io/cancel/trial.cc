#include "tests/io/cancel/trial.h"

#include <sched.h>

#include "lib/thread/runtime_services.h"
#include "weft/cancellation.h"

namespace weft::testing {

bool PoolTrial::Begin() noexcept {
  if (!armed_ || internal::CallingThread() == nullptr) return false;
  armed_ = false;
  called_ = true;
  return true;
}

void PoolTrial::Wait(Where where) noexcept {
  if (where != where_) return;
  held_up_ = true;
  while (!go_on_ && !(go_on_once_asked_ && asked_)) {
    asked_ |= CancelRequested();  // others run meanwhile
    ::sched_yield();
  }
}

}  // namespace weft::testing
