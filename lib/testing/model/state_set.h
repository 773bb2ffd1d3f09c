// The states that a search has seen, so that it goes on from each only once.
#ifndef WEFT_LIB_TESTING_MODEL_STATE_SET_H_
#define WEFT_LIB_TESTING_MODEL_STATE_SET_H_

#include <cstddef>
#include <cstdint>

namespace weft::internal::model {

// Keeps 61 bits of a hash for each state: that any two of ten million states are taken for one has a probability of
// about 2e-5. Also keeps how many preemptions were left when the search last went on from there. A look is a cache
// miss: call Prefetch() some time before.
class StateSet {
 public:
  static constexpr int kMaxLeft = 6;

  StateSet();
  StateSet(const StateSet&) = delete;
  StateSet& operator=(const StateSet&) = delete;
  ~StateSet();

  void Prefetch(uint64_t state) const { __builtin_prefetch(&slots_[IndexOf(state)]); }
  // False: the search has gone on from here with as many preemptions left or more, 0 to kMaxLeft. Otherwise it will.
  bool Enter(uint64_t state, int left);
  void Clear();

 private:
  static constexpr size_t kMinSize = size_t{1} << 12;
  // 256 MiB. A search with more states than that goes on without remembering the rest.
  static constexpr size_t kMaxSize = size_t{1} << 25;
  static constexpr uint64_t kLeftBits = 7;

  size_t IndexOf(uint64_t state) const { return state >> 20 & (size_ - 1); }
  uint64_t& SlotOf(uint64_t state);
  void Grow();

  size_t used_ = 0;
  size_t size_ = kMinSize;
  uint64_t* slots_;  // state | left + 1; 0: free
};

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_STATE_SET_H_
