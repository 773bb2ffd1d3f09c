// All() of Tasks that have names, without std::move().
// expect: a Task is awaited once
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
  weft::Task<int> left = Count();
  weft::Task<int> right = Count();
#ifdef MISUSE
  auto [a, b] = co_await weft::All(left, right);
#else
  auto [a, b] = co_await weft::All(std::move(left), std::move(right));
#endif
  co_return a + b;
}
