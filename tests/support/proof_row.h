// A row of the ledger of proofs: what a test has tried, and how often. `tools/prove` collects them. (docs/proof.md)
#ifndef WEFT_TESTS_SUPPORT_PROOF_ROW_H_
#define WEFT_TESTS_SUPPORT_PROOF_ROW_H_

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string_view>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace weft::testing {

// Prints the row when it goes away; a test that has failed has violated it.
class ProofRow {
 public:
  ProofRow(std::string_view row, std::string_view what, uint64_t seed = 0) : row_(row), what_(what), seed_(seed) {}
  ProofRow(const ProofRow&) = delete;
  ProofRow& operator=(const ProofRow&) = delete;
  ~ProofRow() {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin_;
    std::cout << absl::StrFormat(
                     "{\"row\":\"%s\",\"what\":\"%s\",\"runs\":%d,\"violations\":%d,\"seconds\":%.2f,\"seed\":%d}",
                     row_, what_, runs_, ::testing::Test::HasFailure() ? 1 : 0, seconds.count(), seed_)
              << std::endl;
  }

  void AddRun() { AddRuns(1); }
  void AddRuns(int64_t count) { runs_ += count; }

 private:
  const std::string_view row_, what_;
  const uint64_t seed_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  int64_t runs_ = 0;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_PROOF_ROW_H_
