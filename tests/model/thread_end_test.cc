// The end of a thread for those who have handles to it. Goal: nobody looks at a thread that has gone; whoever waits for
// the end is let go on; whoever sees the end sees what the thread did; one of those who have references is the last,
// and sees what all did. Method: a run that ends beside threads that look, join, and give up references.
#include "lib/thread/thread_end.h"

#include <gtest/gtest.h>

#include <mutex>

#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

// Thread 0 is the run, the others have a reference each.
template <int holders>
class Referred {
 public:
  static constexpr int kThreads = 1 + holders;

  void Thread(int index) {
    used_[index].Set(true);
    if (index == 0 ? end().EndAlone() == ThreadEnd::Alone::kLast : end().ReleaseLast()) Destroy();
  }
  void Finish() { Require(destroyed_.Get() == 1, "one of them was the last"); }

 private:
  ThreadEnd end() { return ThreadEnd(word_); }
  void Destroy() {
    for (Cell<bool>& each : used_) Require(each.Get(), "the last sees what all did");
    destroyed_.Set(destroyed_.Get() + 1);
  }

  Atomic<uint32_t> word_{kThreads * ThreadEnd::kOneReference};
  Cell<bool> used_[kThreads];
  Cell<int> destroyed_{0};
};

// What stands around the word in thread_identity.cc.
class Run {
 public:
  void End() {
    result_.Set(1);
    if (end().EndAlone() == ThreadEnd::Alone::kNo) {
      std::lock_guard guard(lock_);
      static_cast<void>(end().EndAttended());
      if (waits_.Get()) granted_.Set(true);
    }
    gone_.Set(true);
  }
  void Look() {
    std::lock_guard guard(lock_);
    if (!end().Attend()) Require(!gone_.Get(), "nobody looks at a thread that has gone");
  }
  void Join() {
    {
      std::lock_guard guard(lock_);
      if (!end().Attend()) {
        waits_.Set(true);
        return;
      }
    }
    Require(result_.Get() == 1, "whoever joins sees what the thread did");
    joined_.Set(true);
  }
  void Ask() {
    if (end().ended()) Require(result_.Get() == 1, "whoever sees the end sees what the thread did");
  }
  bool JoinIsOver() { return joined_.Get() || granted_.Get(); }

 private:
  ThreadEnd end() { return ThreadEnd(word_); }

  Atomic<uint32_t> word_{3 * ThreadEnd::kOneReference};
  Lock lock_;
  Cell<int> result_{0};
  Cell<bool> gone_{false};
  Cell<bool> waits_{false};    // guarded by lock_
  Cell<bool> granted_{false};  // guarded by lock_
  Cell<bool> joined_{false};
};

class Joined {
 public:
  static constexpr int kThreads = 2;

  void Thread(int index) { index == 0 ? run_.End() : run_.Join(); }
  void Finish() { Require(run_.JoinIsOver(), "no join is forgotten"); }

 private:
  Run run_;
};

class Looked {
 public:
  static constexpr int kThreads = 2;

  void Thread(int index) { index == 0 ? run_.End() : run_.Look(); }
  void Finish() {}

 private:
  Run run_;
};

// The end is also asked for by one that takes no lock, whether the run takes it or not.
class Asked {
 public:
  static constexpr int kThreads = 3;

  void Thread(int index) { index == 0 ? run_.End() : index == 1 ? run_.Look() : run_.Ask(); }
  void Finish() {}

 private:
  Run run_;
};

const model::Component& End() {
  static const model::Component component = {"end",
                                             {
                                                 model::Of<Referred<1>>("one reference", {}),
                                                 model::Of<Referred<2>>("two references", {}),
                                                 model::Of<Joined>("joined", {}),
                                                 model::Of<Looked>("looked at", {}),
                                                 model::Of<Asked>("looked at and asked", {}),
                                             }};
  return component;
}

TEST(ThreadEndModelTest, NobodyLooksAtAThreadThatHasGoneAndOneIsTheLast) { Prove(End()); }
TEST(ThreadEndModelTest, NoOrderCouldBeWeaker) { RefuteWeakerOrders(End()); }

}  // namespace
}  // namespace weft::internal
