// The states that a search has been in, so that it goes on from each only once.
#ifndef WEFT_LIB_TESTING_MODEL_STATE_SET_H_
#define WEFT_LIB_TESTING_MODEL_STATE_SET_H_

#include <cstddef>
#include <cstdint>

namespace weft::internal::model {

// States by their hashes of 61 bits: two of ten million are taken for one with a probability of about 2e-5. With each,
// the preemptions that were left when it was last gone on from. A look is a cache miss: Prefetch() some time before.
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
