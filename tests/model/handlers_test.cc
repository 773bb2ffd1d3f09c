// Signal handlers, and things that go. Goal: no handler uses a thing that is not whole yet, or has gone. Method: a
// thread that shows a thing, hides it, and takes it away if no handler runs; and handlers that use it if they find it.
#include "lib/process/running_handlers.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using model::Require;

template <int handlers, int times>
class Using {
 public:
  static constexpr int kThreads = handlers + 1;

  void Thread(int index) {
    if (index == handlers) return ComeAndGo();
    for (int i = 0; i < times; ++i) Handle();
  }

  void Finish() {}

 private:
  void Handle() {
    running_.Enter();
    if (RunningHandlers::Find(wanted_) != 0) Require(whole_, "what a handler finds is whole");
    running_.Leave();
  }

  void ComeAndGo() {
    whole_ = true;
    RunningHandlers::Show(wanted_, 1);
    RunningHandlers::Hide(wanted_);
    if (running_.None()) whole_ = false;
  }

  RunningHandlers running_;
  Atomic<uint64_t> wanted_{0};
  Plain<bool> whole_ = false;
};

const model::Component& HandlersComponent() {
  static const model::Component component = {
      "handlers", {model::Of<Using<1, 2>>("a handler, twice", {}), model::Of<Using<2, 1>>("2 handlers", {})}};
  return component;
}

TEST(HandlersModelTest, NoHandlerUsesWhatIsNotThere) { model::Prove(HandlersComponent()); }

TEST(HandlersModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(HandlersComponent()); }

}  // namespace
}  // namespace weft::internal
