// Goal: a consumer's own GoogleTest serves a test of code that uses Weft.
// Method: @com_google_googletest//:ours is declared by this workspace only.
#include "gtest/gtest.h"
#include "weft/weft.h"

namespace {

weft::Task<int> Answer() { co_return 42; }

TEST(ConsumerTest, RunsATaskUnderItsOwnGoogleTest) { EXPECT_EQ(weft::Run(Answer()), 42); }

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
