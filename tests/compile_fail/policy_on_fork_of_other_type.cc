// A policy whose OnFork() takes other handles than those of its Value.
// expect: OnFork() of a policy takes a handle: a Subtask<Value>, or an AnySubtask where there is no Value
#include <string>

#include "weft/weft.h"

struct Policy {
  using Value = int;
#ifdef MISUSE
  void OnFork(weft::Subtask<std::string>) {}
#else
  void OnFork(weft::Subtask<int>) {}
#endif
  weft::Outcome Result(weft::Outcome outcome) { return outcome; }
};

weft::Task<void> Caller() {
  weft::StructuredTaskScope<Policy> scope;
  co_await scope.Close();
}
