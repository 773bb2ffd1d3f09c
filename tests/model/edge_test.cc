// The edges of a descriptor under epoll. Goal: no operation is left waiting while what it waits for is there and every
// edge has been fetched, whatever other operations do on the same descriptor. Method: operations that each take one of
// what is there; arrivals, each or all of them with an edge; and a poller that fetches edges until none comes. The
// kernel orders nothing except an arrival before the edge that tells of it.
#include "lib/driver/epoll/direction.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>

#include "lib/driver/epoll/emptied.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/operation.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Require;

template <int takers, int arrivals>
class Waiting {
 public:
  static constexpr int kThreads = takers + 2;
  static constexpr bool kMayEndWaiting = true;

  Waiting() : together_(model::Choose(2) == 0) {}

  void Thread(int index) {
    if (index < takers) return Start(operations_[index]);
    if (index == takers) return Arrive();
    Poll();
  }

  void Finish() {
    Require(direction_.first == nullptr || there_.load() == 0, "no operation waits for what is there");
  }

 private:
  void Start(Operation& op) {
    const uint32_t edges = direction_.Edges();
    if (Call(op)) return;
    std::lock_guard guard(direction_.lock);
    const auto call = [this](Operation& waiter) { return Call(waiter); };
    if (!direction_.EndsAfterEdge(op, edges, call)) direction_.Push(op);
  }

  // Takes one of what is there, as far as the caller can know.
  bool Call(Operation&) {
    int there = there_.load(relaxed);
    while (there > 0) {
      if (there_.compare_exchange_strong(there, there - 1, relaxed, relaxed)) return true;
    }
    return false;
  }

  void Arrive() {
    for (int i = 0; i < arrivals; ++i) {
      there_.fetch_add(1, relaxed);
      if (together_ && i < arrivals - 1) continue;
      edge_.exchange(1, release);
      FutexWake(edge_, 1);
    }
  }

  void Poll() {
    for (;;) {
      FutexWait(edge_, 0);
      if (edge_.exchange(0, acquire) == 0) continue;
      direction_.Wake([this](Operation& op) { return Call(op); }, [](Operation&) {});
    }
  }

  Operation operations_[takers];
  Direction direction_;
  Atomic<int> there_{0};
  Atomic<uint32_t> edge_{0};  // level: there is an edge to fetch
  const bool together_;
};

// Operations that each receive all there is, twice. A receive behind a short one makes no call until there is an edge.
// The last arrival may be an end instead, which each sees that looks.
template <int takers, int arrivals>
class Receiving {
 public:
  static constexpr int kThreads = takers + 2;
  static constexpr bool kMayEndWaiting = true;

  Receiving() : ends_(model::Choose(2) == 0) { emptied_.Reset(/*trusted=*/true); }

  void Thread(int index) {
    if (index < takers) {
      for (Operation& op : operations_[index]) {
        if (!Start(op)) return;  // it waits, or is to be started by nobody else
      }
      return;
    }
    if (index == takers) return Arrive();
    Poll();
  }

  void Finish() {
    Require(direction_.first == nullptr || (there_.load() == 0 && ended_.load() == 0),
            "no operation waits for what is there");
  }

 private:
  // True if it has ended at once.
  bool Start(Operation& op) {
    op.request = IoRequest::Receive(nullptr, kRoom);
    const uint32_t edges = direction_.Edges();
    if (!emptied_.At(edges) && Call(op)) {
      if (Emptied::WasShort(op)) emptied_.Note(edges);
      return true;
    }
    std::lock_guard guard(direction_.lock);
    const auto call = [this](Operation& waiter) { return Call(waiter); };
    if (direction_.EndsAfterEdge(op, edges, call)) return true;
    direction_.Push(op);
    return false;
  }

  bool Call(Operation& op) {
    op.result = there_.exchange(0, relaxed);
    return op.result > 0 || ended_.load(relaxed) != 0;
  }

  void Arrive() {
    for (int i = 0; i < arrivals; ++i) {
      const bool end = ends_ && i == arrivals - 1;
      end ? ended_.store(1, relaxed) : static_cast<void>(there_.fetch_add(1, relaxed));
      edge_.exchange(1, release);
      FutexWake(edge_, 1);
    }
  }

  void Poll() {
    for (;;) {
      FutexWait(edge_, 0);
      if (edge_.exchange(0, acquire) == 0) continue;
      if (ended_.load(relaxed) != 0) emptied_.Distrust();  // as the event says
      bool emptied = false;
      const uint32_t edges = direction_.Wake([this](Operation& op) { return Call(op); },
                                             [&emptied](Operation& op) { emptied |= Emptied::WasShort(op); });
      if (emptied) emptied_.Note(edges);
    }
  }

  static constexpr size_t kRoom = 100;

  Operation operations_[takers][2];
  Direction direction_;
  Emptied emptied_;
  Atomic<int> there_{0};
  Atomic<int> ended_{0};
  Atomic<uint32_t> edge_{0};  // level: there is an edge to fetch
  const bool ends_;
};

const model::Component& EdgeComponent() {
  static const model::Component component = {
      "edge",
      {model::Of<Waiting<1, 2>>("an operation", {}), model::Of<Waiting<2, 2>>("2 operations", {}),
       model::Of<Receiving<1, 2>>("receives of one thread", {}), model::Of<Receiving<2, 2>>("receives of two", {})}};
  return component;
}

TEST(EdgeModelTest, NoOperationWaitsForWhatIsThere) { model::Prove(EdgeComponent()); }

TEST(EdgeModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(EdgeComponent()); }

}  // namespace
}  // namespace weft::internal
