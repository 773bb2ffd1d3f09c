// A policy whose OnComplete() does not say whether to shut the scope down.
// expect: OnComplete() of a policy takes a const handle and returns a bool: whether to shut the scope down
#include "weft/weft.h"

struct Policy {
#ifdef MISUSE
  void OnComplete(const weft::AnySubtask&) {}
#else
  bool OnComplete(const weft::AnySubtask&) { return false; }
#endif
  weft::Outcome Result(weft::Outcome outcome) { return outcome; }
};

weft::Task<void> Caller() {
  weft::StructuredTaskScope<Policy> scope;
  co_await scope.Close();
}
