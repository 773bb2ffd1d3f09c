#include "weft/executor/when.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "lib/thread/wait_node.h"
#include "weft/executor/future_state.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

struct AnyDone::Cases {
  explicit Cases(const std::vector<FutureBase*>& of) : futures(of), wait(RequireThread("a wait for several futures")) {
    int32_t number = 0;
    for (size_t i = 0; i < futures.size(); ++i) cases.emplace_back(wait, number++);
  }

  const std::vector<FutureBase*> futures;
  WaitForSeveral<ThreadBlock> wait;
  std::deque<WaitCase<ThreadBlock>> cases;  // of `futures`, in their order
};

AnyDone::AnyDone(const std::vector<FutureBase*>& futures) : cases_(std::make_unique<Cases>(futures)) {}

AnyDone::~AnyDone() {
  for (size_t i = 0; i < cases_->cases.size(); ++i) cases_->futures[i]->TakeBack(cases_->cases[i]);
}

bool AnyDone::await_ready() const noexcept {
  return AtCheckpoint() &&
         std::any_of(cases_->futures.begin(), cases_->futures.end(), [](FutureBase* each) { return each->done(); });
}

void AnyDone::Suspend(AwaitingFrame frame) noexcept {
  static constexpr WaitKind kWait = {ParkReason::kFuture, /*timed=*/false, &WaitForSeveral<ThreadBlock>::Withdraw};
  if (!EnterWait(frame, kWait, &cases_->wait)) return;
  for (size_t i = 0; i < cases_->cases.size(); ++i) {
    WaitCase<ThreadBlock>& each = cases_->cases[i];
    if (cases_->futures[i]->AddCase(each)) continue;
    // It is done. If another one was granted meanwhile, the thread is woken for that; else nobody will wake it.
    if (cases_->wait.Claim(each.number)) YieldInstead();
    return;
  }
}

}  // namespace weft::internal
