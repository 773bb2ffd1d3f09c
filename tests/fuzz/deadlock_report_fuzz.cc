// The report of a deadlock (weft/testing/simulation.h): a line for each thread, with its name, whatever bytes that has.
//
// An input: for each thread, what it waits for and whether its scope is that of the thread before, the length of its
// name, and the name.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"
#include "weft/channel/channel.h"
#include "weft/internal/check.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

constexpr size_t kMaxThreads = 12;

struct Plan {
  explicit Plan(FuzzInput input) {
    while (!input.empty() && threads.size() < kMaxThreads) {
      const uint8_t how = input.TakeByte();
      threads.push_back({how % 4, how >= 128, std::string(input.Take(input.TakeByte() % 40))});
    }
  }
  struct Thread {
    int waits_in;
    bool nested;  // and those after it
    std::string name;
  };
  std::vector<Thread> threads;
};

// What Weft prints for a name.
std::string Printed(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppend(&text, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      text.push_back(c);
    }
  }
  return text;
}

class Stuck {
 public:
  explicit Stuck(const Plan& plan) : plan_(plan) {}

  Task<void> Main() {
    const MutexGuard guard = co_await mutex_.Lock();
    labels_.push_back(absl::StrCat("VirtualThread[#", VirtualThread::Current().id(), "]"));
    co_await ForkFrom(0);
  }

  void Check(absl::string_view report) const {
    std::vector<absl::string_view> lines = absl::StrSplit(report, '\n');
    WEFT_CHECK(lines.size() == labels_.size() + 2 && lines.back().empty()) << lines.size() << " lines:\n" << report;
    WEFT_CHECK(absl::StartsWith(lines.front(), "deadlock: ")) << report;
    for (const std::string& label : labels_) {
      const std::string begin = absl::StrCat("  ", label, "/");
      const auto found = std::count_if(lines.begin(), lines.end(),
                                       [&begin](absl::string_view line) { return absl::StartsWith(line, begin); });
      WEFT_CHECK(found == 1) << found << " lines for " << label << ":\n" << report;
    }
  }

 private:
  // Waits for all that it forks.
  Task<void> ForkFrom(size_t first) {
    AwaitAll scope;
    for (size_t i = first; i < plan_.threads.size(); ++i) {
      const bool nested = plan_.threads[i].nested;
      scope.Fork([this, i] { return Wait(i); }, {.name = plan_.threads[i].name});
      if (nested) break;
    }
    (co_await scope.Join()).IgnoreFailures();
    co_await event_.Wait();
  }
  Task<void> Wait(size_t i) {
    const Plan::Thread& thread = plan_.threads[i];
    labels_.push_back(absl::StrCat("VirtualThread[#", VirtualThread::Current().id(), thread.name.empty() ? "" : ",",
                                   Printed(thread.name), "]"));
    if (thread.nested) co_return co_await ForkFrom(i + 1);
    switch (thread.waits_in) {
      case 0:
        co_return co_await event_.Wait();
      case 1:
        static_cast<void>(co_await mutex_.Lock());
        co_return;
      case 2:
        static_cast<void>(co_await channel_.Receive());
        co_return;
      default:
        co_return co_await Sleep(absl::InfiniteDuration());
    }
  }

  const Plan& plan_;
  std::vector<std::string> labels_;
  Event event_;
  Mutex mutex_;
  Channel<int> channel_{0};
};

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft::testing;
  const Plan plan{FuzzInput({reinterpret_cast<const char*>(data), size})};
  Stuck stuck(plan);
  int reports = 0;
  Simulation simulation({.on_deadlock = [&](const std::string& report) {
    ++reports;
    stuck.Check(report);
  }});
  static_cast<void>(simulation.TryRun(stuck.Main()));
  WEFT_CHECK(reports == 1) << reports << " reports";
  return 0;
}
