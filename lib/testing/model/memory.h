// What may a load return? The memory of one execution, by the rules of C++20 (P0668), in views.
//
// Each atomic keeps the stores to it in modification order. What a thread knows is a view: for each atomic, the latest
// store that it must not read behind, and for each thread, how far that one's plain accesses happen before now.
//
//   load      any store not behind the view: one choice. An acquire takes up the view that the store released; a
//             relaxed one keeps it for a later acquire fence.
//   store     after every store that the view knows, and so perhaps before some that others made: one choice. It
//             releases the view of its thread, or, relaxed, that of the thread's last release fence.
//   RMW       reads a store that no other RMW follows, and comes right after it; it passes on what that one released
//             (the release sequence). In a weak compare-and-swap, Options::spurious_failures may fail for no reason.
//   seq_cst   one more view, `order_`. An access does not read or store behind it, at its own atomic, and adds its own
//             place. A fence takes all of it up and adds all that its thread knows. The order of execution is the order
//             S.
//   LightFence and HeavyFence: see ForceFence().
//
// Only release and acquire order plain data: fences without them do not (as the standard says), so a seq_cst fence
// passes on places in modification orders, and no clocks.
//
// A data race is a violation: a plain access that conflicts with another and is not ordered after it; and so is the use
// of an atomic that is not ordered after its creation, or before its end.
//
// Not shown: load buffering, and values out of thin air. Threads take their steps in program order, so no load returns
// a store that comes later in the execution. (After J. Kang et al., "A Promising Semantics for Relaxed-Memory
// Concurrency", POPL 2017, without the promises.)
#ifndef WEFT_LIB_TESTING_MODEL_MEMORY_H_
#define WEFT_LIB_TESTING_MODEL_MEMORY_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "lib/testing/model/choices.h"
#include "lib/testing/model/model_atomic.h"

namespace weft::internal::model {

// ---- Limits: a view fills one vector register, and an execution stays in the cache.
inline constexpr int kMaxThreads = 4;
inline constexpr int kMaxPlaces = 28;   // atomics in one execution
inline constexpr int kMaxStores = 100;  // to one atomic
inline constexpr int kMaxClock = 250;   // releases by one thread
inline constexpr int kMaxCells = 64;    // plain variables

// The actor that builds the program before the threads run, and looks at it after them. It is ordered with everything.
inline constexpr int kNobody = -1;

// Threads, a bit each.
using Mask = uint32_t;
constexpr Mask Bit(int thread) { return Mask{1} << thread; }
// The n-th bit that is set, from the lowest.
constexpr int NthOf(Mask mask, int n) {
  for (; n > 0; --n) mask &= mask - 1;
  return std::countr_zero(mask);
}

// Ends the running execution with a violation. A format and its arguments as in printf. (operations.cc)
[[noreturn, gnu::format(printf, 1, 2)]] void Violate(const char* format, ...) noexcept;
bool InExecution() noexcept;

struct alignas(32) View {
  uint8_t at[kMaxPlaces + kMaxThreads] = {};  // places, then clocks

  uint8_t& clock(int thread) { return at[kMaxPlaces + thread]; }
  uint8_t clock(int thread) const { return at[kMaxPlaces + thread]; }
  void Join(const View& other) {
    for (size_t i = 0; i < sizeof(at); ++i) at[i] = std::max(at[i], other.at[i]);
  }
  void JoinPlaces(const View& other) {
    for (int i = 0; i < kMaxPlaces; ++i) at[i] = std::max(at[i], other.at[i]);
  }
};
static_assert(sizeof(View) == 32);

class Memory {
 public:
  explicit Memory(Choices& choices) : choices_(choices) {}

  // An empty memory in which nobody acts.
  void Reset();
  // All threads know what there is by now.
  void StartThreads();

  // ---- Operations of `thread`, or of kNobody.

  int Create(int thread, uint64_t value);
  // The atomic's life ends: every use of it must be ordered before, and none may follow.
  void Retire(int thread, int place);
  uint64_t Load(int thread, int place, Order order);
  void Store(int thread, int place, uint64_t value, Order order);
  // Returns what was there; `next(value)` is stored.
  template <class Next>
  uint64_t Modify(int thread, int place, Order order, Next next);
  bool CompareExchange(int thread, int place, uint64_t& expected, uint64_t desired, Order success, Order failure,
                       bool may_fail);
  void Fence(int thread, Order order);
  // A compiler barrier. What comes before it is what a fence that is forced upon the thread later covers for sure.
  void LightFence(int thread) { threads_[thread].light = threads_[thread].now; }
  // The part of a heavy fence that interrupts `thread`: a seq_cst fence between two of its operations. It covers what
  // came before the last LightFence() of that thread, since the compiler may have moved the rest behind it.
  void ForceFence(int thread);

  // The store that is last in modification order.
  uint64_t Latest(int place) const { return places_[place].stores[places_[place].count - 1].value; }

  uint64_t LatestId(int place) const { return places_[place].stores[places_[place].count - 1].id; }

  int NewCell();
  void ReadCell(int thread, int cell);
  void WriteCell(int thread, int cell);

  // ---- Waiting in a loop. After Relax(), the thread's next load of what it has looked at since the Relax() before
  // returns something newer, if there is any: a store becomes visible some time.
  void Relax(int thread);
  // As if it had loaded it.
  void LookAt(int thread, int place) { threads_[thread].looked_at |= uint32_t{1} << place; }
  // Whether a load of what it has looked at could now return something newer.
  bool HasNews(int thread) const;

  // ---- What an execution has been so far, in one number for each thread: the results of all that the thread has done.
  // The code does the same after the same results, so two executions with the same numbers are in the same state, in
  // whatever order the threads came to it.
  void Note(int thread, uint64_t result) { histories_[thread] = Mix(histories_[thread], result); }
  uint64_t StateHash() const {
    uint64_t hash = order_hash_;
    for (uint64_t history : histories_) hash = Mix(hash, history);
    return hash;
  }
  static uint64_t Mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
  }

  // ---- For traces: where the last operation came to lie, of how many.
  int last_position() const { return last_position_; }
  int count(int place) const { return places_[place].count; }

 private:
  struct StoreRecord {
    uint64_t value;
    uint64_t id;    // what its thread had done by then: tells stores apart, in any order of execution
    bool modifies;  // an RMW: reads the one before
    View released;
  };
  struct PlaceRecord {
    uint8_t count;
    bool retired;
    int8_t creator;
    uint8_t created;
    uint8_t used[kMaxThreads];  // the clock of each thread's last use
    StoreRecord stores[kMaxStores];
  };
  struct ThreadRecord {
    View now;            // what it knows
    View acquired;       // what it will know after an acquire fence
    View released;       // what it knew at its last release fence
    View light;          // what it knew at its last light fence
    uint32_t looked_at;  // since its last Relax()
    uint32_t waits_on;   // before it, and not since
  };
  struct CellRecord {
    int8_t writer;
    uint8_t written;
    uint8_t read[kMaxThreads];
  };

  static bool Acquires(Order order) {
    return order == Order::acquire || order == Order::consume || order == Order::acq_rel || order == Order::seq_cst;
  }
  static bool Releases(Order order) {
    return order == Order::release || order == Order::acq_rel || order == Order::seq_cst;
  }

  PlaceRecord& Use(int thread, int place);
  int Floor(int thread, int place, Order order) const;
  void TakeUp(int thread, int place, int position, Order order);
  void Put(int thread, int place, int position, uint64_t value, Order order, bool modifies);
  void MakeRoom(int place, int position);
  int ChooseModified(int thread, int place, Order order);
  void Tick(int thread);
  uint64_t Ids(const View& view) const;

  Choices& choices_;
  int place_count_ = 0;
  int cell_count_ = 0;
  int last_position_ = 0;
  View order_;
  uint64_t order_hash_ = 0;
  uint64_t histories_[kMaxThreads + 1];  // the last: what was done before the threads
  ThreadRecord threads_[kMaxThreads];
  PlaceRecord places_[kMaxPlaces];
  CellRecord cells_[kMaxCells];
};

template <class Next>
uint64_t Memory::Modify(int thread, int place, Order order, Next next) {
  const int position = ChooseModified(thread, place, order);
  const uint64_t value = places_[place].stores[position].value;
  if (thread == kNobody) {
    places_[place].stores[position].value = next(value);
    return value;
  }
  TakeUp(thread, place, position, order);
  Put(thread, place, position + 1, next(value), order, /*modifies=*/true);
  return value;
}

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_MEMORY_H_
