// The processors that a process may use. Goal: the quota of a container counts, in either version of cgroups, wherever
// it is mounted; what cannot be understood is no limit. Method: /proc and /sys of containers as they are met, written
// into a temporary directory.
#include "lib/os/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace weft::internal {
namespace {

struct Machine {
  const char* name;
  std::map<std::string, std::string> files;
  int quota;
};

constexpr char kV2Mount[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kV1Mount[] =
    "22 1 8:1 / / rw - ext4 /dev/root rw\n"
    "40 30 0:34 / /sys/fs/cgroup/cpuset rw master:17 - cgroup cgroup rw,cpuset\n"
    "41 30 0:35 / /sys/fs/cgroup/cpu,cpuacct rw master:18 - cgroup cgroup rw,cpu,cpuacct\n";

const Machine kMachines[] = {
    {"Nothing", {}, 0},
    {"V2WithoutLimit",
     {{"proc/self/mountinfo", kV2Mount}, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "max 100000\n"}},
     0},
    // A container with a namespace of its own sees its group as the root.
    {"V2Container",
     {{"proc/self/mountinfo", kV2Mount}, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "200000 100000\n"}},
     2},
    {"V2PartsOfAProcessorCountAsOne",
     {{"proc/self/mountinfo", kV2Mount}, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "150000 100000\n"}},
     2},
    {"V2LessThanOne",
     {{"proc/self/mountinfo", kV2Mount}, {"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "10000 100000\n"}},
     1},
    {"V2Service",
     {{"proc/self/mountinfo", kV2Mount},
      {"proc/self/cgroup", "0::/system.slice/gateway.service\n"},
      {"sys/fs/cgroup/system.slice/gateway.service/cpu.max", "300000 100000\n"}},
     3},
    {"V2ALimitAboveCountsIfItIsLess",
     {{"proc/self/mountinfo", kV2Mount},
      {"proc/self/cgroup", "0::/kubepods/pod1/container2\n"},
      {"sys/fs/cgroup/kubepods/pod1/container2/cpu.max", "800000 100000\n"},
      {"sys/fs/cgroup/kubepods/pod1/cpu.max", "400000 100000\n"},
      {"sys/fs/cgroup/kubepods/cpu.max", "max 100000\n"}},
     4},
    {"V2AGroupThatIsOutsideOfTheNamespace",
     {{"proc/self/mountinfo", kV2Mount},
      {"proc/self/cgroup", "0::/../other\n"},
      {"sys/fs/cgroup/cpu.max", "500000 100000\n"}},
     5},
    {"V1Host",
     {{"proc/self/mountinfo", kV1Mount},
      {"proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/user.slice\n"},
      {"sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_period_us", "100000\n"}},
     0},
    {"V1Service",
     {{"proc/self/mountinfo", kV1Mount},
      {"proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/user.slice\n"},
      {"sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_quota_us", "250000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_period_us", "100000\n"}},
     3},
    // The group of the container is what is mounted, under the name that it has outside.
    {"V1Container",
     {{"proc/self/mountinfo",
       "41 30 0:35 /docker/4f3c /sys/fs/cgroup/cpu ro master:18 - cgroup cgroup rw,cpuacct,cpu\n"},
      {"proc/self/cgroup", "4:cpuacct,cpu:/docker/4f3c\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n"}},
     1},
    {"V1AGroupThatIsNotMounted",
     {{"proc/self/mountinfo", "41 30 0:35 /docker/4f3c /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"},
      {"proc/self/cgroup", "4:cpu:/elsewhere\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n"}},
     2},
    {"HybridTheLeastCounts",
     {{"proc/self/mountinfo",
       std::string(kV1Mount) + "42 30 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
      {"proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/a\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "600000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/unified/a/cpu.max", "500000 100000\n"}},
     5},
    {"WhatCannotBeUnderstoodIsNoLimit",
     {{"proc/self/mountinfo", "\n - \nx - cgroup2\n41 - cgroup\n" + std::string(kV2Mount)},
      {"proc/self/cgroup", "\n:\n0:\n0::/a\n"},
      {"sys/fs/cgroup/a/cpu.max", "many\n"},
      {"sys/fs/cgroup/cpu.max", "100000 0\n"}},
     0},
    {"AQuotaOfMoreThanThereIs",
     {{"proc/self/mountinfo", kV2Mount},
      {"proc/self/cgroup", "0::/\n"},
      {"sys/fs/cgroup/cpu.max", "9223372036854775807 1\n"}},
     1 << 20},
};

class CpuTest : public ::testing::TestWithParam<Machine> {
 protected:
  CpuTest() : root_(::testing::TempDir() + "/" + GetParam().name) {
    std::filesystem::remove_all(root_);
    for (const auto& [path, text] : GetParam().files) {
      const std::filesystem::path file = std::filesystem::path(root_) / path;
      std::filesystem::create_directories(file.parent_path());
      std::ofstream(file) << text;
    }
  }

  const std::string root_;
};
INSTANTIATE_TEST_SUITE_P(Machines, CpuTest, ::testing::ValuesIn(kMachines),
                         [](const auto& of) { return std::string(of.param.name); });

TEST_P(CpuTest, TheQuotaOfTheContainerCounts) { EXPECT_EQ(CpuQuota(root_), GetParam().quota); }

TEST_P(CpuTest, TheLeastOfQuotaAndAffinityMaskIsUsable) {
  cpu_set_t cpus;
  ASSERT_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
  const int allowed = CPU_COUNT(&cpus);
  const int quota = GetParam().quota;
  EXPECT_EQ(UsableCpus(root_), quota > 0 ? std::min(quota, allowed) : allowed);
  if (allowed == 1) return;
  // With one processor of those.
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &cpus)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(UsableCpus(root_), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

}  // namespace
}  // namespace weft::internal
