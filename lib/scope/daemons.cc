#include "weft/internal/daemons.h"

#include <utility>

#include "lib/thread/join_count.h"

namespace weft::internal {

void Daemons::Ended(JoinCount& children) noexcept {
  --running_;
  if (excluded_) children.Add();
}

void Daemons::Exclude(JoinCount& children) noexcept {
  excluded_ = true;
  children.Add(-running_);
}

bool Daemons::Include(JoinCount& children) noexcept {
  if (!std::exchange(excluded_, false)) return false;
  children.Add(running_);
  return true;
}

}  // namespace weft::internal
