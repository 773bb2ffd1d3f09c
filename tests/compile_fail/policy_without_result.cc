// A policy without Result().
// expect: no member named 'Result' in 'Policy'
#include "weft/weft.h"

struct Policy {
  bool OnComplete(const weft::AnySubtask&) { return true; }
#ifndef MISUSE
  weft::Outcome Result(weft::Outcome outcome) { return outcome; }
#endif
};

weft::Task<void> Caller() {
  weft::StructuredTaskScope<Policy> scope;
  co_await scope.Close();
}
