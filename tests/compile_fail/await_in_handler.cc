// co_await in the handler of an exception.
// expect: 'co_await' cannot be used in the handler of a try block
#include <exception>

#include "weft/weft.h"

weft::Task<void> Work();
weft::Task<void> CleanUp();

weft::Task<void> Caller() {
#ifdef MISUSE
  try {
    co_await Work();
  } catch (const std::exception&) {
    co_await CleanUp();
  }
#else
  bool failed = false;
  try {
    co_await Work();
  } catch (const std::exception&) {
    failed = true;
  }
  if (failed) co_await CleanUp();
#endif
}
