// A Then() whose function takes something else.
// expect: Then() takes a function of the future's value
#include <string>

#include "weft/executor/future.h"
#include "weft/weft.h"

weft::Future<int> Caller(weft::Future<std::string> future) {
#ifdef MISUSE
  return future.Then([](int value) { return value; });
#else
  return future.Then([](std::string value) { return static_cast<int>(value.size()); });
#endif
}
