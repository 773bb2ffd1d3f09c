#include "benchmarks/work/matrix.h"

#include <algorithm>

namespace weft::benchmarks {
namespace {

// The peers in other languages fill and weigh theirs in the same way.
int32_t ValueOfA(int64_t row, int64_t column) { return static_cast<int32_t>((3 * row + 5 * column) % 7); }
int32_t ValueOfB(int64_t row, int64_t column) { return static_cast<int32_t>((2 * row + 11 * column) % 5); }
uint64_t RowWeight(int64_t row) { return static_cast<uint64_t>(row) + 1; }
uint64_t ColumnWeight(int64_t column) { return 2 * static_cast<uint64_t>(column) + 1; }

// The sum over i, j of u(i) * C(i, j) * v(j) is, for C = A * B, the sum over k of
// (sum over i of u(i) * A(i, k)) * (sum over j of B(k, j) * v(j)). Unsigned overflow takes nothing from that.
uint64_t RightChecksum(int64_t size) {
  uint64_t sum = 0;
  for (int64_t k = 0; k < size; ++k) {
    uint64_t of_a = 0;
    uint64_t of_b = 0;
    for (int64_t i = 0; i < size; ++i) {
      of_a += RowWeight(i) * static_cast<uint64_t>(ValueOfA(i, k));
      of_b += static_cast<uint64_t>(ValueOfB(k, i)) * ColumnWeight(i);
    }
    sum += of_a * of_b;
  }
  return sum % Matrices::kModulus;
}

}  // namespace

void Multiply(const Product& leaf) {
  const int64_t size = leaf.size;
  const int64_t stride = leaf.stride;
  const int32_t* __restrict a = leaf.a;
  const int32_t* __restrict b = leaf.b;
  int32_t* __restrict c = leaf.c;
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t k = 0; k < size; ++k) {
      for (int64_t j = 0; j < size; ++j) c[i * stride + j] += a[i * stride + k] * b[k * stride + j];
    }
  }
}

Matrices::Matrices(int64_t size)
    : size_(size), a_(size * size), b_(size * size), c_(size * size), right_checksum_(RightChecksum(size)) {
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      a_[i * size + j] = ValueOfA(i, j);
      b_[i * size + j] = ValueOfB(i, j);
    }
  }
}

Product Matrices::Begin() {
  std::fill(c_.begin(), c_.end(), 0);
  return {a_.data(), b_.data(), c_.data(), size_, size_};
}

int64_t Matrices::leaves() const {
  const int64_t across = std::max<int64_t>(size_ / Product::kLeafSize, 1);
  return across * across * across;
}

uint64_t Matrices::Checksum() const {
  uint64_t sum = 0;
  for (int64_t i = 0; i < size_; ++i) {
    uint64_t row = 0;
    for (int64_t j = 0; j < size_; ++j) row += static_cast<uint64_t>(c_[i * size_ + j]) * ColumnWeight(j);
    sum += RowWeight(i) * row;
  }
  return sum % kModulus;
}

}  // namespace weft::benchmarks
