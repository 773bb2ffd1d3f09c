// A policy whose OnTimeout() has a parameter.
// expect: OnTimeout() of a policy takes nothing
#include "weft/weft.h"

struct Policy {
#ifdef MISUSE
  void OnTimeout(const weft::Outcome&) {}
#else
  void OnTimeout() {}
#endif
  weft::Outcome Result(weft::Outcome outcome) { return outcome; }
};

weft::Task<void> Caller() {
  weft::StructuredTaskScope<Policy> scope;
  co_await scope.Close();
}
