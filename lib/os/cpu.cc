#include "lib/os/cpu.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace weft::internal {
namespace {

// Empty if it cannot be read.
std::string Content(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return "";
  std::string content;
  char part[4096];
  for (size_t bytes; (bytes = std::fread(part, 1, sizeof(part), file)) > 0;) content.append(part, bytes);
  std::fclose(file);
  return content;
}

bool Names(absl::string_view list, absl::string_view name) {
  for (const absl::string_view each : absl::StrSplit(list, ',')) {
    if (each == name) return true;
  }
  return false;
}

enum class Version { kOne, kTwo };

// A hierarchy of cgroups that may limit processors.
struct Hierarchy {
  Version version;
  std::string root;   // the group that is mounted
  std::string mount;  // where
};

// A line of mountinfo, proc(5): "36 35 0:31 ROOT MOUNT rw,nosuid shared:9 - TYPE source rw,cpu,cpuacct".
std::vector<Hierarchy> Hierarchies(const std::string& root) {
  std::vector<Hierarchy> found;
  const std::string mounts = Content(root + "/proc/self/mountinfo");
  for (const absl::string_view line : absl::StrSplit(mounts, '\n')) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> left = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> right = absl::StrSplit(halves[1], ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    if (right[0] == "cgroup2") found.push_back({Version::kTwo, std::string(left[3]), std::string(left[4])});
    if (right[0] == "cgroup" && Names(right[2], "cpu")) {
      found.push_back({Version::kOne, std::string(left[3]), std::string(left[4])});
    }
  }
  return found;
}

// A line of /proc/self/cgroup, cgroups(7): "4:cpu,cpuacct:/docker/4f3c", or "0::/user.slice".
std::string GroupIn(const Hierarchy& hierarchy, const std::string& root) {
  const std::string groups = Content(root + "/proc/self/cgroup");
  for (const absl::string_view line : absl::StrSplit(groups, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool two = hierarchy.version == Version::kTwo;
    if (two ? parts[0] != "0" || !parts[1].empty() : !Names(parts[1], "cpu")) continue;
    // Below the group that is mounted. If it is not, only that one can be seen.
    absl::string_view group = parts[2];
    if (hierarchy.root != "/" && !absl::ConsumePrefix(&group, hierarchy.root)) return "";
    return group == "/" || absl::StrContains(group, "..") ? "" : std::string(group);
  }
  return "";
}

// What the files of one group say, in processors; 0: no limit.
double LimitOf(Version version, const std::string& directory) {
  int64_t quota_us = 0, period_us = 0;
  if (version == Version::kTwo) {
    const std::string text = Content(directory + "/cpu.max");
    const std::vector<absl::string_view> words = absl::StrSplit(absl::StripSuffix(text, "\n"), ' ');
    if (words.size() != 2) return 0;
    if (!absl::SimpleAtoi(words[0], &quota_us) || !absl::SimpleAtoi(words[1], &period_us)) return 0;
  } else if (!absl::SimpleAtoi(Content(directory + "/cpu.cfs_quota_us"), &quota_us) ||
             !absl::SimpleAtoi(Content(directory + "/cpu.cfs_period_us"), &period_us)) {
    return 0;
  }
  if (quota_us <= 0 || period_us <= 0) return 0;
  return static_cast<double>(quota_us) / static_cast<double>(period_us);
}

}  // namespace

const char* g_cpu_root = "";

int CpuQuota(const std::string& root) {
  double least = 0;
  for (const Hierarchy& hierarchy : Hierarchies(root)) {
    for (std::string group = GroupIn(hierarchy, root);; group.erase(group.rfind('/'))) {
      const double limit = LimitOf(hierarchy.version, absl::StrCat(root, hierarchy.mount, group));
      if (limit > 0 && (least == 0 || limit < least)) least = limit;
      if (group.empty() || group.rfind('/') == std::string::npos) break;
    }
  }
  constexpr double kMost = 1 << 20;
  const double limit = std::min(least, kMost);
  const int whole = static_cast<int>(limit);
  return whole + (static_cast<double>(whole) < limit ? 1 : 0);
}

// EINVAL: the machine may have more processors than the set has room for.
static int AllowedCpus() {
  for (size_t most = CPU_SETSIZE; most <= size_t{1} << 20; most *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> cpus(CPU_ALLOC(most), [](cpu_set_t* set) { CPU_FREE(set); });
    if (cpus == nullptr) return 1;
    const size_t bytes = CPU_ALLOC_SIZE(most);
    if (sched_getaffinity(0, bytes, cpus.get()) == 0) return CPU_COUNT_S(bytes, cpus.get());
    if (errno != EINVAL) return 1;
  }
  return 1;
}

int UsableCpus(const std::string& root) {
  const int allowed = AllowedCpus();
  const int quota = CpuQuota(root);
  return std::max(quota > 0 ? std::min(allowed, quota) : allowed, 1);
}

}  // namespace weft::internal
