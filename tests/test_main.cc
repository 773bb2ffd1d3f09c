// The main of every test: GoogleTest, and after each test a census. A test that leaves a virtual thread, a frame, a
// waiter, a timer, an operation or a descriptor behind has failed, whatever else it says.
#include "gtest/gtest.h"
#include "weft/runtime.h"
#include "weft/testing/census.h"

namespace {

class CensusListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { before_ = weft::testing::Census::Take(); }
  void OnTestEnd(const testing::TestInfo&) override {
    weft::Runtime::StopDefault();
    const auto after = weft::testing::Census::Take();
    if (after != before_) ADD_FAILURE() << "left behind: before " << before_ << "; after " << after;
  }

  weft::testing::Census before_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new CensusListener);
  return RUN_ALL_TESTS();
}
