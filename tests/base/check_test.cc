// The checks. Goal: a failed one ends the process with a line that can be acted on, and a good one costs nothing.
#include "weft/internal/check.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(CheckDeathTest, AFailedCheckSaysWhereWhatAndWhy) {
  EXPECT_DEATH(WEFT_CHECK(1 + 1 == 3) << "the owner is " << 7,
               "check_test.cc:[0-9]+: CHECK failed: 1 \\+ 1 == 3: the owner is 7");
}

TEST(CheckDeathTest, TheSentenceMayBeLeftOut) { EXPECT_DEATH(WEFT_CHECK(false), "CHECK failed: false\n"); }

TEST(CheckTest, TheSentenceIsEvaluatedOnFailureOnly) {
  int evaluated = 0;
  WEFT_CHECK(true) << ++evaluated;
  EXPECT_EQ(evaluated, 0);
}

TEST(CheckTest, IsOneStatement) {
  bool taken = false;
  const bool check = taken;
  if (check)
    WEFT_CHECK(!check) << "the else below belongs to the if";
  else
    taken = true;
  EXPECT_TRUE(taken);
}

TEST(CheckDeathTest, ADebugCheckIsEvaluatedInDebugBuildsOnly) {
  int evaluated = 0;
  WEFT_DCHECK(++evaluated == 1);
#ifdef NDEBUG
  EXPECT_EQ(evaluated, 0);
  WEFT_DCHECK(false) << "not evaluated";
#else
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(WEFT_DCHECK(false) << "evaluated", "CHECK failed: false: evaluated");
#endif
}

}  // namespace
}  // namespace weft::internal
