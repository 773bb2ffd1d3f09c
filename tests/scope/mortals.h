// Objects of the user's that look around when they are destroyed, and small programs in which they are: in every place
// where a scope keeps them, and in every way in which they come to an end there.
//
//   * Each is destroyed once, by the time that what kept it is over.
//   * Its destructor runs on the thread that it belongs to: it sees that thread, runnable, and its scoped values.
//   * What it does there works: it shuts the scope down, forks into it, or opens a scope of its own.
#ifndef WEFT_TESTS_SCOPE_MORTALS_H_
#define WEFT_TESTS_SCOPE_MORTALS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <ostream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/scoped_value.h"
#include "weft/task.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

inline ScopedValue<int> kSurroundings;
inline constexpr int kBound = 7;

// What a destructor does, after it has looked around.
enum class Deed { kNothing, kShutsDown, kForks, kOpensAScope };
inline constexpr Deed kDeeds[] = {Deed::kNothing, Deed::kShutsDown, Deed::kForks, Deed::kOpensAScope};
inline std::ostream& operator<<(std::ostream& out, Deed deed) {
  constexpr const char* kNames[] = {"looks", "shuts down", "forks", "opens a scope"};
  return out << kNames[static_cast<int>(deed)];
}

// What became of the objects in one place.
class Graves {
 public:
  void Made() {
    std::lock_guard guard(lock_);
    ++made_;
  }
  void Ended(uint64_t thread) {
    std::lock_guard guard(lock_);
    threads_.push_back(thread);
  }
  // They may end on this one.
  void BelongTo(uint64_t thread) {
    std::lock_guard guard(lock_);
    owners_.push_back(thread);
  }
  void CheckEnded(const char* which) {
    std::lock_guard guard(lock_);
    EXPECT_EQ(static_cast<int>(threads_.size()), made_) << which;
  }
  void Check(const char* which) {
    CheckEnded(which);
    std::lock_guard guard(lock_);
    for (const uint64_t thread : threads_) {
      EXPECT_GT(std::count(owners_.begin(), owners_.end(), thread), 0)
          << which << " has ended on virtual thread #" << thread << ", and belongs to "
          << ::testing::PrintToString(owners_);
    }
  }

 private:
  std::mutex lock_;
  int made_ = 0;
  std::vector<uint64_t> threads_;  // that they have ended on; 0: on none
  std::vector<uint64_t> owners_;
};

// A program, and what came of its objects.
class World {
 public:
  // In a simulation a child does not begin before its forker waits.
  World(Deed deed, bool simulated) : simulated(simulated), deed_(deed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const bool simulated;
  Graves captures;
  Graves parameters;
  Graves results;

  // The scope that destructors shut down and fork into, of subtasks of any type.
  template <class Scope>
  void In(Scope& scope) {
    is_shut_ = [&scope] { return scope.IsShutdown(); };
    shut_down_ = [&scope] { scope.Shutdown(); };
    fork_ = [this, &scope] {
      scope.Fork([this]() -> Task<void> {
        ++forks_begun_;
        co_return;
      });
    };
  }

  // Before the end of that scope, when its children have ended.
  void CheckForks() {
    EXPECT_LE(forks_begun_, forks_due_);
    // A request may come between the look at it and the fork.
    if (simulated && !is_shut_()) EXPECT_EQ(forks_begun_, forks_due_);
  }

  // When all is over.
  void Check() {
    captures.Check("what was captured");
    parameters.Check("a parameter");
    results.Check("a result");
    EXPECT_EQ(scopes_left_open_, 0);
  }

  void End(Graves& graves) noexcept {
    if (!VirtualThread::HasCurrent()) return graves.Ended(0);
    const VirtualThread self = VirtualThread::Current();
    graves.Ended(self.id());
    // To handles the thread has ended before its result is gone, if that was dropped at that moment.
    if (&graves != &results) EXPECT_EQ(self.state(), VirtualThread::State::kRunnable);
    EXPECT_EQ(kSurroundings.OrElse(-1), kBound);
    switch (deed_) {
      case Deed::kNothing:
        return;
      case Deed::kShutsDown:
        return shut_down_();
      case Deed::kForks:
        if (!CancelRequested() && !is_shut_()) ++forks_due_;
        return fork_();
      case Deed::kOpensAScope: {
        ++scopes_left_open_;
        AwaitAll own;
        own.Fork([held = Leaves{*this}]() -> Task<void> { co_await Forever(); });
        return;
      }
    }
  }

 private:
  struct Leaves {
    explicit Leaves(World& of) : world(&of) {}
    Leaves(Leaves&& other) noexcept : world(std::exchange(other.world, nullptr)) {}
    ~Leaves() {
      if (world != nullptr) --world->scopes_left_open_;
    }
    World* world;
  };

  const Deed deed_;
  std::function<bool()> is_shut_;
  std::function<void()> shut_down_;
  std::function<void()> fork_;
  std::atomic<int> forks_due_{0};
  std::atomic<int> forks_begun_{0};
  std::atomic<int> scopes_left_open_{0};
};

class Mortal {
 public:
  Mortal(World& world, Graves& graves) noexcept : world_(&world), graves_(graves) { graves.Made(); }
  Mortal(Mortal&& other) noexcept : world_(std::exchange(other.world_, nullptr)), graves_(other.graves_) {}
  Mortal& operator=(Mortal&&) = delete;
  ~Mortal() {
    if (world_ != nullptr) world_->End(graves_);
  }
  bool alive() const { return world_ != nullptr; }

 private:
  World* world_;
  Graves& graves_;
};

struct Way {
  const char* name;
  Task<void> (*run)(World& world);
  bool may_wait = true;  // a destructor may
  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

// Runs one of them, for one kind of destructor.
inline Task<void> Live(const Way& way, Deed deed, bool simulated) {
  World world(deed, simulated);
  ScopedBinding binding(kSurroundings, kBound);
  co_await way.run(world);
  world.Check();
}

// What a child of these programs does before it gives its result.
enum class Span { kNone, kYields, kForever, kUntilAsked };

inline Task<void> Spend(Span span) {
  switch (span) {
    case Span::kNone:
      co_return;
    case Span::kYields:
      co_await Yield();
      co_return;
    case Span::kForever:
      co_return co_await Forever();
    case Span::kUntilAsked:
      co_return co_await UntilAsked();
  }
}

inline Task<Mortal> Body(World& world, Span span, Mortal) {
  co_await Spend(span);
  co_return Mortal(world, world.results);
}

// A closure that has captured one.
inline auto Closure(World& world, Span span) {
  return [&world, span, held = Mortal(world, world.captures)] {
    return Body(world, span, Mortal(world, world.parameters));
  };
}

inline uint64_t Self() { return VirtualThread::Current().id(); }

// Its captures and its parameters belong to the child, as does its result if no handle is there any more when it ends.
template <class T>
Subtask<T> Belongs(World& world, Subtask<T> child) {
  world.captures.BelongTo(child.thread_id());
  world.parameters.BelongTo(child.thread_id());
  world.results.BelongTo(child.thread_id());
  if (!world.simulated) {
    // It may have ended before the caller drops this handle, or was never started, because one before it has shut the
    // scope down.
    for (Graves* graves : {&world.captures, &world.parameters, &world.results}) graves->BelongTo(Self());
  }
  return child;
}

// Joins the scope of a program, in which the objects of closures and parameters have ended by then.
template <class Scope>
Task<void> JoinAll(World& world, Scope& scope) {
  (co_await scope.Join()).IgnoreFailures();
  world.captures.CheckEnded("what was captured");
  world.parameters.CheckEnded("a parameter");
  world.CheckForks();
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SCOPE_MORTALS_H_
