// The lock of OS threads. Goal: one holder at a time, who sees what the holders before have done; no sleeper is
// forgotten; and the last holder may destroy the lock while the one before is still within its unlock(). Method:
// threads that lock, or try to, and of which the last one to hold it gives its memory up.
#include "weft/internal/lock.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

template <int threads, int operations>
class Locking {
 public:
  static constexpr int kThreads = threads;

  Locking() {
    for (bool& tries : tries_) tries = model::Choose(2) == 1;
  }

  void Thread(int index) {
    bool destroys = false;
    for (int i = 0; i < operations; ++i) {
      // The last time for certain: whoever comes last must know it.
      const bool must = i == operations - 1;
      if (tries_[index] && !must) {
        if (!lock_.try_lock()) continue;
      } else {
        lock_.lock();
      }
      inside_.Set(inside_.Get() + 1);
      if (must) {
        done_.Set(done_.Get() + 1);
        destroys = done_.Get() == threads;
      }
      lock_.unlock();
    }
    if (destroys) model::Retire(word());
  }

  void Finish() { Require(done_.Get() == threads, "everybody was inside"); }

 private:
  // The lock is nothing but its word.
  const Atomic<uint32_t>& word() const { return reinterpret_cast<const Atomic<uint32_t>&>(lock_); }

  Lock lock_;
  Cell<int> inside_{0};
  Cell<int> done_{0};
  bool tries_[threads];
};

const model::Component& LockComponent() {
  static const model::Component component = {
      "lock",
      {model::Of<Locking<2, 3>>("2 threads x 3 operations", {.preemptions = model::kUnbounded}),
       model::Of<Locking<3, 2>>("3 threads x 2 operations", {}),
       model::Of<Locking<2, 2>>("a sleep that ends for nothing", {.preemptions = 4, .spurious_wakes = 2})}};
  return component;
}

TEST(LockModelTest, OneHolderAtATimeAndTheLastOneMayDestroyIt) { model::Prove(LockComponent()); }

TEST(LockModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(LockComponent()); }

}  // namespace
}  // namespace weft::internal
