// How many ways are there to put N queens on a board of N columns, so that none attacks another?
//
// The tree of calls that libfork's benchmark has: a node puts one more queen, and has a child for each row that is
// safe. It is the shape of work that fork/join libraries are measured by: irregular, 27 million nodes for 14 queens,
// and little to do in each. (https://github.com/ConorWilliams/libfork, bench/source/nqueens)
#ifndef WEFT_BENCHMARKS_WORK_QUEENS_H_
#define WEFT_BENCHMARKS_WORK_QUEENS_H_

#include <array>
#include <cstdint>

namespace weft::benchmarks {

// The row of the queen in each column. Handed to each child by value: children put their next queen at the same time.
template <int kQueens>
using Board = std::array<char, kQueens>;

// Whether a queen in `row` of `column` is safe from those in the columns before it.
template <int kQueens>
bool IsSafe(const Board<kQueens>& board, int column, int row) {
  for (int before = 0; before < column; ++before) {
    const int distance = column - before;
    const int other = board[before];
    if (other == row || other == row - distance || other == row + distance) return false;
  }
  return true;
}

struct QueensAnswer {
  int64_t solutions;
  int64_t nodes;  // of the tree of calls, the root included
};

template <int kQueens>
constexpr QueensAnswer QueensAnswerOf() {
  static_assert(kQueens == 6 || kQueens == 11 || kQueens == 14, "add the answer for this board");
  if (kQueens == 6) return {4, 153};
  if (kQueens == 11) return {2'680, 166'926};
  return {365'596, 27'358'553};
}

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_WORK_QUEENS_H_
