// Rows M1 and M2 for one component: its programs, run under the checker as they are, and then with each labelled order
// in turn one step weaker.
//
//   const Component& Deque() {
//     static const Component deque = {"deque", {Of<OwnerAndThief>("two threads", {}), Of<TwoThieves>("three threads",
//     {})}}; return deque;
//   }
//   TEST(DequeModelTest, EveryItemIsTakenOnce) { Prove(Deque()); }             // M1
//   TEST(DequeModelTest, NoOrderCouldBeWeaker) { RefuteWeakerOrders(Deque()); }  // M2
//
// The name is what stands before the slash in the component's labels. To add one: its header (and sources) in
// lib/testing/model/BUILD.bazel, WEFT_ORDER at its sites, a program for each thing that it promises, and these two
// tests.
//
// Prove() passes if no program has a violation in any execution within its bound. One that cannot be exhausted is run
// for the number of executions that reliability asks for, half of them depth first, and half drawn.
// RefuteWeakerOrders() passes if each weaker order gives a violation in some program, drawn or depth first. The small
// size makes the same searches as the default one, but tries those that have to survive for less. Each prints its row
// as a line of JSON.
//
// Arguments of every test here:
//   --size=small|default|nightly   how much: small where .bazelrc says so, nightly with one more preemption
//   --max_executions=N             of one program that cannot be exhausted, instead
//   --seed=N                       of what is drawn
//   --program=NAME                 this program only
//   --schedule=TEXT                one execution of it, with its trace
//   --weaken=LABEL:ORDER:WEAKER    with the weaker order at that site, "lock/1:acquire:relaxed": RefuteWeakerOrders()
// A test in which one of these leaves nothing to run fails: choose it with --gtest_filter, as a report does.
#ifndef WEFT_TESTS_MODEL_COMPONENT_H_
#define WEFT_TESTS_MODEL_COMPONENT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/testing/model/checker.h"

namespace weft::internal::model {

struct Program {
  std::string name;
  Options options;
  std::function<Result(const Options& options)> explore;
  std::function<Result(const Options& options, std::string_view schedule)> replay;
  bool nightly = false;  // too large for every day
};

// The program P with these arguments.
template <class P, class... Arguments>
Program Of(std::string name, Options options, Arguments... arguments) {
  return {std::move(name), options, [=](const Options& used) { return Explore<P>(used, arguments...); },
          [=](const Options& used, std::string_view schedule) { return Replay<P>(used, schedule, arguments...); }};
}

inline Program Nightly(Program program) {
  program.nightly = true;
  return program;
}

struct Component {
  std::string name;
  std::vector<Program> programs;
  // Sites that are needed for something that the checker does not show (checker.h says what that is), and for what.
  // Their weaker orders have to survive.
  struct NotShown {
    std::string label;
    std::string why;
  };
  std::vector<NotShown> not_shown = {};
};

void Prove(const Component& component);
void RefuteWeakerOrders(const Component& component);

}  // namespace weft::internal::model

#endif  // WEFT_TESTS_MODEL_COMPONENT_H_
