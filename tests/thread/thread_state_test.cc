// The state word, one edge after the other, on one thread. That it holds under every interleaving is proved in
// tests/model.
#include "lib/thread/thread_state.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using Phase = ThreadState::Phase;

TEST(ThreadStateTest, AWakeUpBeforeParkingIsKept) {
  ThreadState state;
  ThreadState::Snapshot seen = state.Observe();
  EXPECT_EQ(state.Wake(), ThreadState::WakeOutcome::kLeft);
  EXPECT_EQ(state.Park(seen), ThreadState::ParkOutcome::kNotified);
  EXPECT_EQ(state.Observe().phase(), Phase::kActive);
}

TEST(ThreadStateTest, ARequestBeforeParkingIsToldOnce) {
  ThreadState state;
  ThreadState::Snapshot seen = state.Observe();
  EXPECT_FALSE(state.Request().asleep());
  EXPECT_FALSE(state.Claim());
  EXPECT_EQ(state.Park(seen), ThreadState::ParkOutcome::kRequested);
  EXPECT_EQ(state.Park(seen), ThreadState::ParkOutcome::kParked);
  EXPECT_TRUE(state.Observe().requested());
}

// Found by the model checker. The thread parked on its wake-up, and slept for ever:
//   1. the thread looks, registers, and suspends;
//   2. a request comes that cannot withdraw the wait, or is hidden; Park() tells the carrier of it;
//   3. the wake-up comes, and leaves the thread to its carrier, which has not parked it;
//   4. the carrier looks again, at a word that says so, and finds that the wait cannot be withdrawn;
//   5. it parks the thread with what it has seen.
TEST(ThreadStateTest, AWakeUpBetweenARequestAndParkingIsKept) {
  ThreadState state;
  ThreadState::Snapshot seen = state.Observe();
  ASSERT_FALSE(state.Request().asleep());
  ASSERT_EQ(state.Park(seen), ThreadState::ParkOutcome::kRequested);
  ASSERT_EQ(state.Wake(), ThreadState::WakeOutcome::kLeft);
  seen = state.Observe();
  EXPECT_EQ(state.Park(seen), ThreadState::ParkOutcome::kNotified);
  EXPECT_EQ(state.Observe().phase(), Phase::kActive);
}

}  // namespace
}  // namespace weft::internal
