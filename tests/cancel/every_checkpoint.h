// Cancels a tree of virtual threads at each of its checkpoints in turn, and holds what happens against the promise (row
// C1):
//
//   * After the request, a thread runs its own code at most to its next checkpoint; then only destructors and shielded
//   parts.
//   * The scope that holds the tree joins; every local is destroyed once; nothing is left behind.
//   * A thread that is pinned goes on, and is unwound, on its carrier.
//
// Method: a first run counts the checkpoints; then one run for each, in which the request is made as that checkpoint is
// entered. The tree says UserCode() before and after each of its waits. Everything runs in a simulation, with real
// sockets on the backend given.
#ifndef WEFT_TESTS_CANCEL_EVERY_CHECKPOINT_H_
#define WEFT_TESTS_CANCEL_EVERY_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "lib/thread/runtime_services.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/wait.h"
#include "weft/pin.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace weft::testing {

// A local whose lives are counted.
class Witness {
 public:
  Witness() { ++alive; }
  Witness(const Witness&) { ++alive; }
  Witness(Witness&&) noexcept { ++alive; }
  ~Witness() { --alive; }
  static inline int alive = 0;
};

class EveryCheckpoint : public ext::SchedulingObserver {
 public:
  using Tree = std::function<Task<absl::Status>(EveryCheckpoint&)>;

  struct Options {
    IoBackend io = IoBackend::kAuto;
    int carriers = 1;
    uint64_t seed = 1;
    bool pinned = false;  // where the tree says Pinned
  };

  // Runs `tree` once to count, and then once for each checkpoint, before the first and after the last included. Returns
  // the number of checkpoints.
  static int Try(const Options& options, const std::string& backend, const Tree& tree) {
    const int count = RunOnce(options, backend, tree, kNever).checkpoints;
    for (int at = 0; at <= count + 1 && !::testing::Test::HasFailure(); ++at) {
      SCOPED_TRACE("cancelled at checkpoint " + std::to_string(at) + " of " + std::to_string(count));
      const Result result = RunOnce(options, backend, tree, at);
      // The kernel may answer in another order, so that the last of them is not reached.
      if (at < count / 2) EXPECT_TRUE(result.requested);
    }
    return count;
  }

  // The tree's own code is running.
  void UserCode() {
    const uint64_t self = VirtualThread::Current().id();
    if (shielded_[self] > 0) return;
    EXPECT_EQ(checkpoints_after_request_[self], 0) << "virtual thread #" << self << " runs on beyond a checkpoint";
    ++steps;
  }
  // Around what runs in a Shield.
  class Shielded {
   public:
    explicit Shielded(EveryCheckpoint& test) : test_(test), self_(VirtualThread::Current().id()) {
      ++test_.shielded_[self_];
    }
    ~Shielded() { --test_.shielded_[self_]; }

   private:
    EveryCheckpoint& test_;
    const uint64_t self_;
  };

  // Pins its thread, if the run is one with pinned threads.
  class Pinned {
   public:
    explicit Pinned(EveryCheckpoint& test) : test_(test), self_(VirtualThread::Current().id()) {
      if (!test.pinned_) return;
      pin_.emplace();
      outermost_ = test_.pinned_to_.try_emplace(self_, VirtualThread::Current().carrier()).second;
    }
    ~Pinned() {
      if (outermost_) test_.pinned_to_.erase(self_);
    }

   private:
    EveryCheckpoint& test_;
    const uint64_t self_;
    std::optional<Pin> pin_;
    bool outermost_ = false;
  };

  int steps = 0;

 private:
  static constexpr int kNever = -1;
  struct Result {
    int checkpoints = 0;
    bool requested = false;
  };

  static Result RunOnce(const Options& options, const std::string& backend, const Tree& tree, int at) {
    const Census before = Census::Take();
    EveryCheckpoint test;
    test.at_ = at;
    test.pinned_ = options.pinned;
    {
      Simulation simulation({.carriers = options.carriers, .seed = options.seed, .io = options.io, .observer = &test});
      EXPECT_EQ(simulation.runtime().io_backend(), backend);
      simulation.Run(test.Hold(tree));
    }
    EXPECT_EQ(Witness::alive, 0);
    EXPECT_EQ(Census::Take(), before);
    return {test.checkpoints_, test.requested_};
  }

  Task<void> Hold(const Tree& tree) {
    AwaitAll scope;
    holder_ = VirtualThread::Current().id();
    scope_ = &scope;
    {
      auto whole = scope.Fork(tree(*this));
      if (at_ == 0) Request();
      (co_await scope.Join()).IgnoreFailures();
      if (at_ == kNever) EXPECT_TRUE(whole.status().ok()) << whole.status();
    }
    if (at_ > checkpoints_) Request();  // after the end: nothing to cancel
    scope_ = nullptr;
  }

  void Request() {
    if (std::exchange(requested_, true)) return;
    static_cast<internal::ScopeRecord*>(scope_)->RequestShutdown({CancelReason::Kind::kShutdown, 0});
    internal::RunShutdowns(internal::CurrentThread()->runtime());
  }

  void OnCheckpoint(uint64_t thread) noexcept override {
    if (thread == holder_ || scope_ == nullptr) return;
    if (++checkpoints_ == at_) Request();
    if (requested_) ++checkpoints_after_request_[thread];
  }

  void OnMount(const ext::ThreadEvent& event) noexcept override {
    const auto found = pinned_to_.find(event.thread);
    if (found != pinned_to_.end()) EXPECT_EQ(event.carrier, found->second) << "virtual thread #" << event.thread;
  }

  bool pinned_ = false;
  std::map<uint64_t, int> pinned_to_;  // carriers
  int at_ = kNever;
  int checkpoints_ = 0;
  bool requested_ = false;
  uint64_t holder_ = 0;
  AwaitAll* scope_ = nullptr;
  std::map<uint64_t, int> checkpoints_after_request_;
  std::map<uint64_t, int> shielded_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_EVERY_CHECKPOINT_H_
