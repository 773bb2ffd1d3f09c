// Goal: a consumer's tests run what it ships on a machine in memory, also with TLS.
// Method: @weft//:weft_testing and @weft//:weft_tls as dependencies, a symbol of each in use.
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "weft/fs/contents.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/tls/context.h"
#include "weft/weft.h"

namespace {

weft::Task<void> KeepForADay() {
  EXPECT_TRUE((co_await weft::fs::WriteFile("/tmp/f", "text")).ok());
  co_await weft::Sleep(absl::Hours(24));
  EXPECT_EQ((co_await weft::fs::ReadFile("/tmp/f")).value(), "text");
}

TEST(ConsumerTest, RunsItsTasksOnAMachineInMemory) {
  weft::testing::Machine machine({.seed = 7});
  weft::testing::Simulation simulation({.carriers = 2, .seed = 7, .machine = &machine});
  simulation.Run(KeepForADay());
  EXPECT_GE(simulation.now(), absl::Hours(24));
}

TEST(ConsumerTest, MakesAContextOfTls) {
  const absl::StatusOr<weft::tls::Context> context = weft::tls::Context::Client({.verify = false});
  EXPECT_TRUE(context.ok()) << context.status();
  EXPECT_FALSE(weft::tls::Context::Server({}).ok());
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
