// Which executions of a program have been, and which one comes next?
//
// All of them are a tree of choices (choices.h), which is walked depth first, or along paths that are drawn. Much of
// the tree is left out, because of what the executions so far have shown:
//
//   states  Whatever comes after a state has been explored already, if the search has been there before (state_set.h).
//           An execution that comes to it again is cut.
//   uses    Which threads use an atomic, and which write to it. If only one thread writes it, that thread's loads need
//           no choice of which thread comes first: it makes no difference. When more is learned, the search begins
//           again.
#ifndef WEFT_LIB_TESTING_MODEL_SEARCH_H_
#define WEFT_LIB_TESTING_MODEL_SEARCH_H_

#include <cstdint>

#include "lib/testing/model/choices.h"
#include "lib/testing/model/memory.h"
#include "lib/testing/model/state_set.h"

namespace weft::internal::model {

class Search {
 public:
  // 0: depth first. Otherwise executions are drawn.
  explicit Search(uint64_t seed);

  // Of the execution that runs.
  Choices& choices() { return choices_; }

  // ---- Between executions.

  enum class Next : uint8_t {
    kOther,   // one that has not been
    kAfresh,  // the first once more: those so far do not count
    kNone,    // all have been
  };
  Next Advance();
  // From here on nothing is left out or remembered: one execution runs, by known choices.
  void TakeAll();
  // No execution is cut from here on.
  void StopCutting() { cuts_ = false; }

  // ---- States.

  // Whether the running execution may be cut here.
  bool CutsHere() const { return cuts_ && choices_.IsNew(); }
  // False: the execution must be cut. The look at the set comes some states later, when its memory has arrived in the
  // cache.
  bool Meet(uint64_t state, int preemptions_left);
  // Makes the looks that are left, unless it has failed.
  void EndExecution(bool failed);

  // ---- Uses.

  void NoteUse(int thread, int place, bool writes);
  bool IsUsedByOthers(int thread, int place) const { return (known_.all[place] & ~Bit(thread)) != 0; }
  bool IsWrittenByOthers(int thread, int place) const { return (known_.writes[place] & ~Bit(thread)) != 0; }

 private:
  struct Uses {
    Mask all[kMaxPlaces] = {};
    Mask writes[kMaxPlaces] = {};
  };
  struct Look {
    uint64_t state;
    int depth;  // of the choices
    int preemptions_left;
  };
  static constexpr uint32_t kLooksAhead = 4;

  bool MakeLook();

  const bool draws_;
  Choices choices_;

  bool cuts_;
  StateSet states_;
  Look ahead_[kLooksAhead];  // a queue, from looks_made_ to looks_
  uint32_t looks_ = 0;
  uint32_t looks_made_ = 0;

  Uses known_;  // before this execution
  Uses seen_;
  bool learned_ = false;
};

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_SEARCH_H_
