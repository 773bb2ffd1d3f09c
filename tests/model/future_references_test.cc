// Who refers to a future. Goal: the future is destroyed once; its outcome is destroyed once, after all who read it, and
// by the work only if nobody has read it; whoever has the only handle may move it. Method: a thread that completes the
// future and leaves, and holders that look whether it is done, read, and drop their handles.
#include "lib/executor/future_references.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/executor/done_word.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/executor/done_word.h"
#include "weft/executor/future_references.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

template <int holders>
class Sharing {
 public:
  static constexpr int kThreads = 1 + holders;

  Sharing() {
    for (bool& looks : looks_) looks = model::Choose(2) == 1;
  }

  void Thread(int index) {
    if (index == 0) return Complete();
    if (looks_[index - 1] && done_.done()) Read(read_[index - 1]);
    switch (references_.DropHandle()) {
      case FutureReferences::Dropped::kOthersHaveHandles:
        return;
      case FutureReferences::Dropped::kLastHandle:
        if (done_.done()) DropOutcome();
        if (references_.DropKeeper()) Destroy();
        return;
      case FutureReferences::Dropped::kLast:
        return Destroy();
    }
  }

  void Finish() {
    Require(destroyed_.Get() == 1, "the future is destroyed once");
    Require(outcome_.Get() == kNone, "and its outcome is gone");
  }

 private:
  enum Outcome : int { kNone, kWritten, kMoved };

  void Complete() {
    outcome_.Set(kWritten);
    if (references_.handles() == 0) DropOutcome();
    static_cast<void>(done_.Finish());  // nobody sleeps
    if (!references_.DropKeeper()) return;
    for (Cell<bool>& read : read_) {
      Require(!read.Get() || outcome_.Get() == kNone, "the work does not destroy what was read");
    }
    Destroy();
  }
  void Read(Cell<bool>& read) {
    Require(outcome_.Get() == kWritten, "whoever has a handle finds the outcome");
    if (references_.handles() == 1) outcome_.Set(kMoved);
    read.Set(true);
  }
  void DropOutcome() {
    if (outcome_.Get() != kNone) outcome_.Set(kNone);
  }
  void Destroy() {
    DropOutcome();
    destroyed_.Set(destroyed_.Get() + 1);
  }

  FutureReferences references_{FutureReferences::kKeeper + holders * FutureReferences::kHandle};
  DoneWord done_;
  Cell<int> outcome_{kNone};
  Cell<int> destroyed_{0};
  Cell<bool> read_[holders];
  bool looks_[holders];
};

const model::Component& FutureReferencesComponent() {
  static const model::Component component = {
      "future",
      {model::Of<Sharing<1>>("one handle", {.preemptions = model::kUnbounded}),
       model::Of<Sharing<2>>("two handles", {.preemptions = model::kUnbounded}),
       model::Of<Sharing<3>>("three handles", {.preemptions = 3})}};
  return component;
}

TEST(FutureReferencesModelTest, TheLastHandleDestroysWhatWasRead) { model::Prove(FutureReferencesComponent()); }

TEST(FutureReferencesModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(FutureReferencesComponent()); }

}  // namespace
}  // namespace weft::internal
