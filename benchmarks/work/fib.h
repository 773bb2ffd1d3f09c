// The answers of fib, which everybody computes in the worst way there is: a call for each of two smaller numbers.
#ifndef WEFT_BENCHMARKS_WORK_FIB_H_
#define WEFT_BENCHMARKS_WORK_FIB_H_

#include <cstdint>
#include <utility>

namespace weft::benchmarks {

constexpr int64_t Fib(int n) {
  int64_t a = 0, b = 1;
  for (; n > 0; --n) a = std::exchange(b, a + b);
  return a;
}

// How many calls it takes.
constexpr int64_t FibCalls(int n) { return 2 * Fib(n + 1) - 1; }

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_WORK_FIB_H_
