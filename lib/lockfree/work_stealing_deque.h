// Layer lockfree. Where does a carrier keep its runnable threads, so that others can take some?
//
// A Chase-Lev deque of pointers. Its owner, one thread at a time, pushes and pops at the bottom; any thread takes the
// oldest from the top. It does not own what it holds.
//
//   deque.Push(item)        owner. False: it was full and no memory was there to grow; nothing has changed.
//   deque.PushIfRoom(item)  owner. The same without growing: false if it is full. Allocates nothing.
//   deque.Room()            owner. How many pushes will succeed without growing.
//   deque.Pop()             owner. The newest, or nullptr.
//   deque.TakeOldest()      owner. The oldest, or nullptr: Steal() without its fence and without losing.
//   deque.Steal()           any other thread. The oldest; or kEmpty; or kLost: somebody else took it, look again.
//   deque.TakenEstimate()   any thread. How many were taken as the oldest since it was made, except by a Pop().
//   deque.SizeEstimate()    any thread. Exact for the owner while nobody steals.
//   deque.ReturnMemory()    owner. If it is empty, the system may have its memory, except for the first few KiB.
//   deque.PublishFence()    owner, after Push(), before it looks whether anybody sleeps: a fence against RevokeBias().
//
// Lifetime: nobody may be inside when it is destroyed. The owner may change if the two are ordered.
//
// Memory ordering: what came before `Push(item)` happens before what follows the Pop, TakeOldest or Steal that returns
// the item. kEmpty orders nothing: whoever wants to sleep on it needs a duel of its own (the idle protocol).
//
// Progress: no operation waits for another. Push, Pop and TakeOldest are wait-free, except that Push may grow the
// deque. Steal never loops: with kLost some other take has succeeded.
//
// Cost: Push is two stores. Pop is a store and three loads while the deque is biased to its owner, which it is until
// somebody steals; then one locked instruction (5.4 ns) for as long as there are thieves. On an empty deque it has
// none. TakeOldest is one compare-and-swap, and of a single item a Pop. Steal is two locked instructions and a
// compare-and-swap; the first one after a quiet spell, a system call.
//
// ---- Why it is right
//
// Indices only grow, except that Pop takes `bottom_` back by one while it looks. Item i lies in slot i modulo the
// capacity, and is taken by whoever takes it out of [top_, bottom_): the owner by lowering bottom_ below it, or anybody
// by raising top_ past it. Three things have to hold.
//
// A. A thief sees the item that it takes, and what its pusher did before.
//    Pusher: [deque/1] writes slot b, [deque/2] stores bottom_ = b + 1 (release).
//    Thief:  [deque/3] loads bottom_ > t (acquire), loads the array, reads slot t.
//    The load at 3 sees a store of the owner's from after the push of item t: an older one that says bottom_ > t
//    belongs to an earlier item of the same index, which the owner has popped without a compare-and-swap, and C shows
//    that a thief that takes index t has seen that pop. Every store to bottom_ that may leave items behind is a
//    release, that in Pop too, so 3 synchronises with the very store it has seen, whichever it was; in C++20 an owner's
//    later relaxed store would not continue the release sequence of the push. The same edge gives the thief an array at
//    least as new as the one that item t was pushed into. An old array keeps its items for good, because the owner
//    writes to the newest only: a thief that still reads it finds item t there.
//
// B. Nobody reads a slot after the owner has used it for a later item.
//    Thief: reads slot t, then [deque/4] compare-and-swaps top_ from t to t + 1 (release).
//    Owner: [deque/5] loads top_ > t (acquire), writes item t + capacity into the slot.
//    If the owner has seen t taken, the taker's read came before: without the pair, C++ lets it read the later item
//    (load buffering, which the model checker does not show: this one rests on the argument alone). A thief that reads
//    the slot later has lost: its compare-and-swap fails, and what it read is dropped.
//
// C. An index is taken once. Whoever takes the oldest does so by a compare-and-swap of top_; one wins. The newest,
//    which the owner takes without one, is the matter of a duel:
//    Owner: [deque/6] stores bottom_ = b, fence [deque/11], [deque/7] loads top_; takes item b without a
//    compare-and-swap if top_ < b.
//    Thief: [deque/8] loads top_ = t, fence [deque/12], [deque/3] loads bottom_; goes on if t < bottom_.
//    Say the owner takes index b so, and a thief that has loaded top_ = b tries it as well. The thief has seen a top_
//    that the owner had not, so the owner's fence comes first in the order of fences. (C++20, P0668: an order of
//    coherence between operations on the far sides of two fences orders the fences. C++11 needed a seq_cst
//    compare-and-swap for this.) So the load at 3 sees the store at 6 or a later one: bottom_ = b, and the thief finds
//    nothing, or the bottom_ of a later push at the same index, and the thief takes that item. If the owner sees
//    top_ = b, both swap top_, and one wins. If it sees top_ > b, the item is gone. TakeOldest needs no fence: the
//    owner compares with its own bottom_, which nobody else writes.
//
// D. While the deque is biased, the owner's half of the duel C has no fence, because nobody is there to duel with.
//    A thief announces itself in thieves_, fence [deque/13], and looks at bias_. If it is not kNone, it makes it
//    kRevoked, makes the owner pass a fence [deque/18], and sets it to kNone. Only then does it look at bottom_.
//    Owner: [deque/6] stores bottom_ = b, light fence [deque/17], loads bias_; kBiased, it takes item b without
//    further ado.
//    Either the owner's forced fence comes before its load of bias_, which then gives kRevoked or kNone, and it goes on
//    to C; or it comes after the store at 6, and the thief, whose loads follow the fence, sees bottom_ = b and leaves
//    that item alone. That a second thief finds kRevoked says nothing about whether the fence was passed, so it forces
//    one of its own. The owner takes the bias back after a quiet spell: it stores kBiased, fence [deque/14], and looks
//    at thieves_. If it sees one, it stores kNone and nothing has happened. If it sees none, every later thief's fence
//    comes after, and sees kBiased. While it is biased nobody but the owner moves top_, so a deque that it finds not
//    empty stays so. A thief costs the owner about as much as 2,000 fences, so the owner waits for that many pops in
//    which nobody has come.
//
// E. The owner of an empty deque may lose what all slots of all arrays hold (ReturnMemory). It has loaded top_ =
//    bottom_ at [deque/5], so every item has been taken, and, by B, whoever took one has read its slot before. A thief
//    that reads the slot of one of these items later has lost; it reads null, since the arrays stay where they are.
//    Items that are pushed afterwards are found like in A: the owner's stores to their slots come later.
//
// A, C, E and the orders that they name are checked in tests/model, for every interleaving of a few operations, with a
// relaxed load at 8 and a release compare-and-swap at 4 as they are here.
//
// An empty deque can be told from top_ >= bottom_ without the fence, because top_ never goes back.
//
// Rejected: a part of the deque that only the owner sees, published when it next looks at a flag: a thief got 0 of 100
// items while the owner computed. A fence that publishes the slot, as in the paper (ThreadSanitizer cannot follow it,
// and the release stores are free on x86-64); a release store of bottom_ in Pop in place of the fence, which a model
// checker refuted after 269 executions; Steal looping on kLost, which hides contention from whoever picks the victim;
// freeing arrays after a burst, which takes a proof that no thief is inside, where returning their pages takes none.
// (D. Chase and Y. Lev, SPAA 2005; N. M. Le et al., "Correct and Efficient Work-Stealing for Weak Memory Models", PPoPP
// 2013.)
#ifndef WEFT_LIB_LOCKFREE_WORK_STEALING_DEQUE_H_
#define WEFT_LIB_LOCKFREE_WORK_STEALING_DEQUE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>

#include "lib/base/fence.h"
#include "lib/os/pages.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/compiler.h"

namespace weft::internal {

enum class StealOutcome {
  kEmpty,   // there was nothing
  kLost,    // somebody else took what was there: there may be more
  kStolen,  // `item` is yours
};

template <class T>
class WorkStealingDeque {
 public:
  // Holds a burst of forks without growing, in 2 KiB.
  static constexpr size_t kDefaultCapacity = 256;
  // A deque that is longer has lost its purpose; also keeps the arithmetic far from its ends.
  static constexpr size_t kMaxCapacity = size_t{1} << 32;
  static constexpr size_t kGrowth = 4;

  struct [[nodiscard]] Stolen {
    StealOutcome outcome;
    T* item;  // nullptr unless kStolen
  };

  // Room for `initial_capacity` items, a power of two and at least 2, before it grows. Where there is no memory even
  // for these, the deque starts without an array, and Push tries again.
  explicit WorkStealingDeque(size_t initial_capacity = kDefaultCapacity) noexcept
      : initial_capacity_(initial_capacity) {
    WEFT_CHECK(std::has_single_bit(initial_capacity) && initial_capacity >= 2 && initial_capacity <= kMaxCapacity)
        << "the capacity of a deque is a power of two from 2 on; it is " << initial_capacity;
    // Nobody else knows the deque yet.
    if (!FencesAreAsymmetric()) bias_.store(Bias::kNone, std::memory_order_relaxed);
    Array* const array = Array::Make(initial_capacity, nullptr);
    array_.store(array, std::memory_order_relaxed);
    if (array != nullptr) Use(*array, /*known_top=*/0);
  }
  WorkStealingDeque(const WorkStealingDeque&) = delete;
  WorkStealingDeque& operator=(const WorkStealingDeque&) = delete;
  ~WorkStealingDeque() {
    for (Array* array = array_.load(std::memory_order_relaxed); array != nullptr;) {
      Array* older = array->older;
      Array::Destroy(array);
      array = older;
    }
  }

  [[nodiscard]] bool Push(T* item) noexcept {
    const int64_t bottom = bottom_.load(std::memory_order_relaxed);
    if (bottom >= end_of_room_ && !HasRoom(bottom) && !Grow(bottom)) [[unlikely]]
      return false;
    // [deque/1] relaxed: [deque/2] publishes it.
    slot(bottom).store(item, std::memory_order_relaxed);
    // [deque/2] release: pairs with [deque/3]. Weaker, a thief could read the slot before it was written.
    bottom_.store(bottom + 1, WEFT_ORDER("deque/2", std::memory_order_release));
    return true;
  }

  [[nodiscard]] bool PushIfRoom(T* item) noexcept {
    const int64_t bottom = bottom_.load(std::memory_order_relaxed);
    return (bottom < end_of_room_ || HasRoom(bottom)) && Push(item);
  }

  [[nodiscard]] size_t Room() noexcept {
    LookAtTop();
    return static_cast<size_t>(end_of_room_ - bottom_.load(std::memory_order_relaxed));
  }

  [[nodiscard]] T* Pop() noexcept {
    const int64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;
    // relaxed: top_ only grows, so a value from the past that says empty is true now.
    if (top_.load(std::memory_order_relaxed) > bottom) return nullptr;
    // [deque/6] release: pairs with [deque/3], see A. Half of the duels C and D.
    bottom_.store(bottom, WEFT_ORDER("deque/6", std::memory_order_release));
    // [deque/17] light: pairs with [deque/18]. The owner's part of the duel D.
    BiasFence(WEFT_ORDER("deque/17", std::memory_order_seq_cst));
    if (bias_.load(std::memory_order_relaxed) == Bias::kBiased) [[likely]] {
      return slot(bottom).load(std::memory_order_relaxed);
    }
    return PopAmongThieves(bottom);
  }

  [[nodiscard]] T* TakeOldest() noexcept {
    const int64_t bottom = bottom_.load(std::memory_order_relaxed);
    // relaxed: the compare-and-swap decides.
    int64_t top = top_.load(std::memory_order_relaxed);
    if (top + 1 == bottom) return Pop();  // the oldest is the newest
    while (top < bottom) {
      T* item = slot(top).load(std::memory_order_relaxed);
      if (TakeTop(top)) return item;
    }
    return nullptr;
  }

  Stolen Steal() noexcept {
    // relaxed: top_ only grows; a deque that has become less empty since will be looked at again by who needs to know.
    if (top_.load(std::memory_order_relaxed) >= bottom_.load(std::memory_order_relaxed))
      return {StealOutcome::kEmpty, nullptr};
    if (RevokeBias()) {
      // [deque/18] heavy: pairs with [deque/17].
      HeavyFence(WEFT_ORDER("deque/18", std::memory_order_seq_cst));
      BiasRevoked();
    }
    const Stolen stolen = StealAnnounced();
    Leave();
    return stolen;
  }

  // After a burst: the next one costs page faults again.
  void ReturnMemory() noexcept {
    LookAtTop();
    // relaxed: the owner's load of its own.
    const int64_t empty_until = bottom_.load(std::memory_order_relaxed) + mask_ + 1;
    if (slots_ == nullptr || end_of_room_ != empty_until) return;
    for (Array* array = array_.load(std::memory_order_relaxed); array != nullptr; array = array->older) array->Forget();
  }

  // A full fence in effect, against whoever revokes the bias before it looks into the deque.
  void PublishFence() noexcept {
    // [publish/1] light: pairs with [publish/3], of whoever revokes the bias, and with [blocked/1].
    BiasFence(WEFT_ORDER("publish/1", std::memory_order_seq_cst));
    if (bias_.load(std::memory_order_relaxed) != Bias::kBiased) {
      // [publish/2] seq_cst: pairs with [deque/13] and [blocked/1].
      StoreLoadFence(WEFT_ORDER("publish/2", std::memory_order_seq_cst));
    }
  }

  // Any other thread, which then looks into the deque without taking: the parts of Steal() that make the owner's pushes
  // visible. After true it calls HeavyFence(), which serves any number of deques, and BiasRevoked(). Leave() in any
  // case.
  [[nodiscard]] bool RevokeBias() noexcept {
    // relaxed: the fence orders it. Half of the duel D.
    thieves_.fetch_add(kVisit + kInside, std::memory_order_relaxed);
    // [deque/13] seq_cst: pairs with [deque/14] and [publish/2].
    StoreLoadFence(WEFT_ORDER("deque/13", std::memory_order_seq_cst));
    if (bias_.load(std::memory_order_relaxed) == Bias::kNone) return false;
    bias_.store(Bias::kRevoked, std::memory_order_relaxed);
    return true;
  }
  void BiasRevoked() noexcept { bias_.store(Bias::kNone, std::memory_order_relaxed); }
  void Leave() noexcept {
    // [deque/15] release: pairs with [deque/16]. Weaker, the owner could be biased while a thief's compare-and-swap is
    // to come.
    thieves_.fetch_sub(kInside, WEFT_ORDER("deque/15", std::memory_order_release));
  }

  // relaxed: a number to look at.
  int64_t TakenEstimate() const noexcept { return top_.load(std::memory_order_relaxed); }

  size_t SizeEstimate() const noexcept {
    // relaxed: a number to look at. top_ first, so that the difference errs on the large side.
    const int64_t top = top_.load(std::memory_order_relaxed);
    const int64_t bottom = bottom_.load(std::memory_order_relaxed);
    return bottom > top ? static_cast<size_t>(bottom - top) : 0;
  }

 private:
  enum class Bias : uint8_t { kNone, kBiased, kRevoked };
  // Pops without a visit of a thief after which the owner takes the bias back.
  static constexpr int kQuietSpell = kModelChecked ? 1 : 2048;
  // thieves_: how many are inside, and above that how many have ever come.
  static constexpr uint64_t kInside = 1;
  static constexpr uint64_t kVisit = uint64_t{1} << 32;

  // The rest of Pop(): bottom_ is lowered.
  WEFT_RARE T* PopAmongThieves(int64_t bottom) noexcept {
    // [deque/11] seq_cst: pairs with [deque/12]. The middle of the duel C.
    StoreLoadFence(WEFT_ORDER("deque/11", std::memory_order_seq_cst));
    // [deque/7] relaxed: the fence orders it; it reads no data.
    int64_t top = top_.load(std::memory_order_relaxed);
    CountQuiet();
    if (top < bottom) return slot(bottom).load(std::memory_order_relaxed);
    T* item = nullptr;
    if (top == bottom) {
      item = slot(bottom).load(std::memory_order_relaxed);
      if (!TakeTop(top)) item = nullptr;
    }
    // Empty, one way or the other.
    // relaxed, not load-bearing: all up to here are taken by now, so a thief that sees this store loses.
    bottom_.store(bottom + 1, std::memory_order_relaxed);
    return item;
  }

  // Between RevokeBias() and Leave().
  Stolen StealAnnounced() noexcept {
    // [deque/8] relaxed: the fence orders it; it reads no data. Half of the duel C.
    int64_t top = top_.load(std::memory_order_relaxed);
    // [deque/12] seq_cst: pairs with [deque/11].
    StoreLoadFence(WEFT_ORDER("deque/12", std::memory_order_seq_cst));
    // [deque/3] acquire: pairs with [deque/2] and [deque/6]. Weaker, the slot or the array could be read too early.
    const int64_t bottom = bottom_.load(WEFT_ORDER("deque/3", std::memory_order_acquire));
    if (top >= bottom) return {StealOutcome::kEmpty, nullptr};
    // [deque/9] acquire: pairs with [deque/10]. Weaker, the copied slots of a new array could be read too early.
    Array* array = array_.load(WEFT_ORDER("deque/9", std::memory_order_acquire));
    T* item = array->slot(top).load(std::memory_order_relaxed);
    if (!TakeTop(top)) return {StealOutcome::kLost, nullptr};
    return {StealOutcome::kStolen, item};
  }

  // The owner, in a pop that pays for thieves.
  void CountQuiet() noexcept {
    // relaxed: a count to look at.
    const uint64_t visits = thieves_.load(std::memory_order_relaxed) / kVisit;
    if (visits != quiet_since_) {
      quiet_since_ = visits;
      quiet_pops_ = 0;
    } else if (++quiet_pops_ >= kQuietSpell) {
      quiet_pops_ = 0;
      if (!FencesAreAsymmetric()) return;
      bias_.store(Bias::kBiased, std::memory_order_relaxed);
      // [deque/14] seq_cst: pairs with [deque/13]. The middle of the duel D.
      StoreLoadFence(WEFT_ORDER("deque/14", std::memory_order_seq_cst));
      // [deque/16] acquire: pairs with [deque/15].
      if (thieves_.load(WEFT_ORDER("deque/16", std::memory_order_acquire)) % kVisit != 0)
        bias_.store(Bias::kNone, std::memory_order_relaxed);
    }
  }

  struct Array {
    Array* older;  // retired: a thief may still be reading it
    int64_t capacity;

    Atomic<T*>* slots() noexcept { return reinterpret_cast<Atomic<T*>*>(this + 1); }
    // relaxed: a thief's load is ordered by [deque/3] or [deque/9], and the owner's are of its own stores.
    Atomic<T*>& slot(int64_t index) noexcept { return slots()[index & (capacity - 1)]; }

    static Array* Make(size_t slots, Array* older) noexcept {
      // Zeroed, which is a null in each slot: of a large array the kernel gives only the pages that are used.
      void* memory = std::calloc(1, sizeof(Array) + slots * sizeof(Atomic<T*>));
      if (memory == nullptr) return nullptr;
      auto* array = new (memory) Array{older, static_cast<int64_t>(slots)};
      if constexpr (kModelChecked) {
        for (size_t i = 0; i < slots; ++i) new (&array->slot(static_cast<int64_t>(i))) Atomic<T*>(nullptr);
      }
      return array;
    }
    static void Destroy(Array* array) noexcept {
      static_assert(std::is_trivially_destructible_v<Atomic<T*>>);
      std::free(array);
    }
    // Its slots become null, in part or all.
    void Forget() noexcept {
      if constexpr (kModelChecked) {
        // relaxed: what the kernel does.
        for (int64_t i = 0; i < capacity; ++i) slot(i).store(nullptr, std::memory_order_relaxed);
      } else {
        ReturnPagesWithin(slots(), static_cast<size_t>(capacity) * sizeof(Atomic<T*>));
      }
    }
  };
  static_assert(sizeof(Array) % alignof(Atomic<T*>) == 0);

  // ---- The owner's.

  // Of the newest array. relaxed: as in Array.
  Atomic<T*>& slot(int64_t index) noexcept { return slots_[index & mask_]; }
  void Use(Array& array, int64_t known_top) noexcept {
    slots_ = array.slots();
    mask_ = array.capacity - 1;
    end_of_room_ = known_top + array.capacity;
  }
  void LookAtTop() noexcept {
    // [deque/5] acquire: pairs with [deque/4]. Weaker, a thief could still read the slot that is written next.
    const int64_t top = top_.load(WEFT_ORDER("deque/5", std::memory_order_acquire));
    end_of_room_ = slots_ == nullptr ? top : top + mask_ + 1;
  }
  bool HasRoom(int64_t bottom) noexcept {
    LookAtTop();
    return bottom < end_of_room_;
  }

  // Takes item `top`, if nobody has; otherwise sets `top` to what is now the oldest.
  bool TakeTop(int64_t& top) noexcept {
    // [deque/4] release: pairs with [deque/5]. Weaker, the slot could be read after it was used again. On failure
    // nothing is read, so relaxed.
    return top_.compare_exchange_strong(top, top + 1, WEFT_ORDER("deque/4", std::memory_order_release),
                                        std::memory_order_relaxed);
  }

  // After HasRoom(). Four times the room, with the items from the top that it has seen to `bottom`. The old array stays
  // for thieves until the end: all of them together are a third of the newest. (Twice the room, and every slot written,
  // was 17 bytes for each of a million items; this is 11.)
  WEFT_RARE bool Grow(int64_t bottom) noexcept {
    Array* const old = array_.load(std::memory_order_relaxed);
    const size_t capacity = old == nullptr ? initial_capacity_ : static_cast<size_t>(old->capacity) * kGrowth;
    if (capacity > kMaxCapacity) return false;
    Array* const array = Array::Make(capacity, old);
    if (array == nullptr) return false;
    const int64_t top = old == nullptr ? bottom : end_of_room_ - old->capacity;
    for (int64_t i = top; i < bottom; ++i) {
      array->slot(i).store(old->slot(i).load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    // [deque/10] release: pairs with [deque/9].
    array_.store(array, WEFT_ORDER("deque/10", std::memory_order_release));
    Use(*array, top);
    return true;
  }

  // ---- Written by whoever takes the oldest.
  alignas(kCacheLineSize) Atomic<int64_t> top_{0};
  Atomic<uint64_t> thieves_{0};

  // ---- Written by the owner, read by thieves.
  alignas(kCacheLineSize) Atomic<int64_t> bottom_{0};  // relaxed: the owner's loads of its own, and numbers to look at
  Atomic<Array*> array_{nullptr};                      // the newest. relaxed: the owner's loads of its own
  Atomic<Bias> bias_{Bias::kBiased};  // kRevoked and kNone by thieves. relaxed: the fences of D order it

  // ---- The owner's alone.
  int quiet_pops_ = 0;        // since the last visit
  uint64_t quiet_since_ = 0;  // visits by then
  Atomic<T*>* slots_ = nullptr;  // of the newest array
  int64_t mask_ = 0;
  int64_t end_of_room_ = 0;   // an item may be put in below this: the capacity above a top_ that was seen
  const size_t initial_capacity_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_LOCKFREE_WORK_STEALING_DEQUE_H_
