#include "lib/testing/model/search.h"

#include <cstdint>

namespace weft::internal::model {

Search::Search(uint64_t seed) : draws_(seed != 0), cuts_(seed == 0) {
  if (draws_) choices_.DrawFrom(seed);
}

Search::Next Search::Advance() {
  if (learned_) {
    learned_ = false;
    known_ = seen_;
    if (!draws_) {
      choices_.Clear();
      states_.Clear();
      return Next::kAfresh;
    }
  }
  if (draws_) {
    choices_.Clear();
    return Next::kOther;
  }
  return choices_.Next() ? Next::kOther : Next::kNone;
}

void Search::TakeAll() {
  for (Mask& all : known_.all) all = ~Mask{0};
  for (Mask& writes : known_.writes) writes = ~Mask{0};
  StopCutting();
}

bool Search::Meet(uint64_t state, int preemptions_left) {
  if (looks_made_ + kLooksAhead == looks_ && !MakeLook()) return false;
  states_.Prefetch(state);
  ahead_[looks_++ % kLooksAhead] = {state, choices_.depth(), preemptions_left};
  return true;
}

// False: the execution has gone on in vain since it met the state, and no choice after that will be tried.
bool Search::MakeLook() {
  const Look& look = ahead_[looks_made_++ % kLooksAhead];
  if (states_.Enter(look.state, look.preemptions_left)) return true;
  choices_.ForgetFrom(look.depth);
  looks_made_ = looks_;
  return false;
}

void Search::EndExecution(bool failed) {
  while (looks_made_ != looks_ && !failed && MakeLook()) {
  }
  looks_made_ = looks_;
}

void Search::NoteUse(int thread, int place, bool writes) {
  const Mask self = Bit(thread);
  if ((seen_.all[place] & self) == 0) {
    seen_.all[place] |= self;
    learned_ = true;
  }
  if (writes && (seen_.writes[place] & self) == 0) {
    seen_.writes[place] |= self;
    learned_ = true;
  }
}

}  // namespace weft::internal::model
