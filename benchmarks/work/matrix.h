// C = A * B, square matrices of integers, by divide and conquer: each of the four quarters of C is the sum of two
// products of quarters. The quarters of one sum are written one after the other, so a multiplication forks four, joins,
// forks four, and joins.
//
// Squares of 32 are multiplied by loops; these are here, and the same for everybody.
// (https://github.com/mtmucha/coros, benchmarks/coros_mat.h)
#ifndef WEFT_BENCHMARKS_WORK_MATRIX_H_
#define WEFT_BENCHMARKS_WORK_MATRIX_H_

#include <array>
#include <cstdint>
#include <vector>

namespace weft::benchmarks {

// What is still to be multiplied: c += a * b, where each is a square of `size` inside rows of `stride` numbers.
struct Product {
  static constexpr int64_t kLeafSize = 32;

  const int32_t* a;
  const int32_t* b;
  int32_t* c;
  int64_t size;
  int64_t stride;

  bool is_leaf() const { return size <= kLeafSize; }

  // The four that may be computed at the same time, and the four that may be once those are done.
  std::array<Product, 4> First() const { return Quarters(0); }
  std::array<Product, 4> Second() const { return Quarters(1); }

 private:
  // Into each quarter of c: column `inner` of the quarters of a, by row `inner` of those of b.
  std::array<Product, 4> Quarters(int64_t inner) const {
    const int64_t half = size / 2;
    std::array<Product, 4> parts;
    for (int64_t row = 0; row < 2; ++row) {
      for (int64_t column = 0; column < 2; ++column) {
        parts[row * 2 + column] = {a + (row * stride + inner) * half, b + (inner * stride + column) * half,
                                   c + (row * stride + column) * half, half, stride};
      }
    }
    return parts;
  }
};

// Of a leaf.
void Multiply(const Product& leaf);

// Two matrices, whose size is a power of two, and the place for their product.
class Matrices {
 public:
  // So that a checksum is a number that every language, and JSON, has.
  static constexpr uint64_t kModulus = 1'000'000'007;

  explicit Matrices(int64_t size);

  // Sets C to zero; what is to be computed then.
  Product Begin();

  int64_t leaves() const;
  // A sum over C in which each place has a weight of its own, modulo kModulus; and what it has to be, known without
  // multiplying.
  uint64_t Checksum() const;
  uint64_t right_checksum() const { return right_checksum_; }

 private:
  int64_t size_;
  std::vector<int32_t> a_, b_, c_;
  uint64_t right_checksum_;
};

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_WORK_MATRIX_H_
