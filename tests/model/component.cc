#include "tests/model/component.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/testing/model/sites.h"

namespace weft::internal::model {
namespace {

enum class Size { kSmall, kDefault, kNightly };

struct Arguments {
  Size size = Size::kDefault;
  uint64_t seed = 1;
  int preemptions = -1;        // -1: as the program says
  int64_t max_executions = 0;  // 0: as the size says
  std::string program;
  std::string schedule;
  std::string weaken;
};
Arguments arguments;

// Of one program that cannot be exhausted.
int64_t MaxExecutions() {
  if (arguments.max_executions != 0) return arguments.max_executions;
  switch (arguments.size) {
    case Size::kSmall:
      return 20'000;
    case Size::kDefault:
      return 10'000'000;
    case Size::kNightly:
      return 300'000'000;
  }
  return 0;
}

Options Sized(Options options) {
  if (arguments.size == Size::kNightly && options.preemptions != kUnbounded) ++options.preemptions;
  if (arguments.preemptions >= 0) options.preemptions = arguments.preemptions;
  options.max_executions = MaxExecutions();
  return options;
}

bool IsWanted(const Program& program) {
  if (arguments.program.empty()) return !program.nightly || arguments.size == Size::kNightly;
  return arguments.program == program.name;
}

// Those that are chosen; a failure if none is.
std::vector<const Program*> Wanted(const Component& component) {
  std::vector<const Program*> wanted;
  for (const Program& program : component.programs) {
    if (IsWanted(program)) wanted.push_back(&program);
  }
  EXPECT_FALSE(wanted.empty()) << component.name << " has no program to run; --program is \"" << arguments.program
                               << "\"";
  return wanted;
}

// How to see one violation again.
std::string Reproduce(const Program& program, const Result& result, const std::string& weakened) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string target = testing::internal::GetArgvs()[0];
  target = target.substr(target.rfind('/') + 1);
  std::string text = absl::StrCat("reproduce: ./bazelw test //tests/model:", target,
                                  " --test_arg=--gtest_filter=", test->test_suite_name(), ".", test->name(),
                                  " --test_arg='--program=", program.name, "' --test_arg=--schedule=", result.schedule);
  if (!weakened.empty()) absl::StrAppend(&text, " --test_arg=--weaken=", weakened);
  return text;
}

std::string SiteArgument(const Weakening& weakening) {
  return absl::StrCat(weakening.site->label, ":", OrderName(weakening.site->declared), ":", OrderName(weakening.order));
}

constexpr int kMostPreemptions = 3;
// Of one weaker order in one program, depth first.
constexpr int64_t kRefutingExecutions = 4'000'000;
// Drawn before that in each program, ten times as many a round. The rarest kill takes some thousand.
constexpr int64_t kFirstDrawn = 100;
constexpr int64_t kLastDrawn = 10'000;

// Of one that is needed for what the checker does not show.
int64_t ExcusedExecutions() { return arguments.size == Size::kSmall ? 1'000 : 20'000; }

struct Sum {
  int64_t executions = 0;
  double seconds = 0;
  bool exhausted = true;
  int violations = 0;
};

void PrintRow(const char* row, const std::string& what, const Sum& sum, const std::string& more) {
  std::cout << absl::StrFormat(
                   "{\"row\":\"%s\",\"what\":\"%s\",\"runs\":%d,%s,\"violations\":%d,\"seconds\":%.2f,\"seed\":%d}",
                   row, what, sum.executions, more, sum.violations, sum.seconds, sum.exhausted ? 0 : arguments.seed)
            << std::endl;
}

// Depth first as far as half of the executions go; if that was not all, as many again drawn.
Result ExploreBothWays(const Program& program, Options options) {
  options.max_executions = (options.max_executions + 1) / 2;
  Result first = program.explore(options);
  if (first.exhausted || !first.violation.empty()) return first;
  options.seed = arguments.seed;
  Result second = program.explore(options);
  second.executions += first.executions;
  second.steps += first.steps;
  second.seconds += first.seconds;
  return second;
}

// An argument that asks for one execution.
bool ReplaysOnly(const Component& component) {
  if (arguments.schedule.empty()) return false;
  for (const Program* program : Wanted(component)) {
    const Result result = program->replay(Sized(program->options), arguments.schedule);
    EXPECT_TRUE(result.exhausted) << "this is no schedule: " << arguments.schedule;
    EXPECT_EQ(result.violation, "") << result.Report();
  }
  return true;
}

}  // namespace

void Prove(const Component& component) {
  if (ReplaysOnly(component)) return;
  Sum sum;
  for (const Program* program : Wanted(component)) {
    const Options options = Sized(program->options);
    const Result result = ExploreBothWays(*program, options);
    std::cout << absl::StrFormat("  %-60s %10d executions, %d preemptions, %s, %.2f s, %.2f M/s\n", program->name,
                                 result.executions, options.preemptions, result.exhausted ? "all" : "not all",
                                 result.seconds, static_cast<double>(result.executions) / 1e6 / result.seconds);
    EXPECT_EQ(result.violation, "") << result.Report() << Reproduce(*program, result, "");
    sum.executions += result.executions;
    sum.seconds += result.seconds;
    sum.exhausted = sum.exhausted && result.exhausted;
    sum.violations += !result.violation.empty();
  }
  PrintRow("M1", component.name, sum, absl::StrCat("\"exhausted\":", sum.exhausted ? "true" : "false"));
}

namespace {

// What fails in the program, with its name; empty: nothing.
std::string Search(const Program& program, const Options& options, Sum& sum) {
  const Result result = program.explore(options);
  sum.executions += result.executions;
  sum.seconds += result.seconds;
  sum.exhausted = sum.exhausted && result.exhausted;
  return result.violation.empty() ? "" : absl::StrCat(result.violation, " (", program.name, ")");
}

// What fails when the order is weaker; empty: nothing.
std::string Refute(const Component& component, int64_t max_executions, Sum& sum) {
  const std::vector<const Program*> wanted = Wanted(component);
  // Drawn first: what fails at all mostly fails in one of some hundred executions of some program, to which depth first
  // may come after half a million.
  for (int64_t drawn = kFirstDrawn; drawn <= std::min(kLastDrawn, max_executions); drawn *= 10) {
    for (const Program* program : wanted) {
      Options options = Sized(program->options);
      options.seed = arguments.seed;
      options.max_executions = drawn;
      if (std::string found = Search(*program, options, sum); !found.empty()) return found;
    }
  }
  // Most need few preemptions: the cheap searches of all programs first.
  for (int preemptions = 0; preemptions <= kMostPreemptions; ++preemptions) {
    for (const Program* program : wanted) {
      Options options = Sized(program->options);
      if (preemptions > options.preemptions) continue;
      options.preemptions = preemptions;
      options.max_executions = max_executions;
      if (std::string found = Search(*program, options, sum); !found.empty()) return found;
    }
  }
  return "";
}

}  // namespace

void RefuteWeakerOrders(const Component& component) {
  if (!arguments.schedule.empty() && arguments.weaken.empty()) return;
  Sum sum;
  int tried = 0, killed = 0, total = 0, not_shown = 0;
  for (const Weakening& weakening : WeakeningsOf(component.name)) {
    if (!arguments.weaken.empty() && arguments.weaken != SiteArgument(weakening)) continue;
    ++tried;
    const Weakened weakened(weakening);
    if (ReplaysOnly(component)) continue;
    const auto excuse = std::find_if(component.not_shown.begin(), component.not_shown.end(),
                                     [&](const auto& each) { return each.label == weakening.site->label; });
    const bool excused = excuse != component.not_shown.end();
    const std::string found = Refute(component, excused ? ExcusedExecutions() : kRefutingExecutions, sum);
    std::cout << absl::StrFormat("  %-34s %s\n", weakening.Text(),
                                 !found.empty() ? found
                                 : excused      ? "not shown: " + excuse->why
                                                : "SURVIVES");
    if (excused) {
      ++not_shown;
      EXPECT_EQ(found, "") << weakening.Text() << " is shown after all: take it off the list";
      continue;
    }
    ++total;
    killed += !found.empty();
    EXPECT_NE(found, "")
        << weakening.Text()
        << ": no program fails. Either one is missing, or the order can be weaker: then weaken it, and "
           "say so there";
  }
  EXPECT_GT(tried, 0) << "no order of " << component.name << " was compiled and is to be weakened; --weaken is \""
                      << arguments.weaken << "\"";
  if (!arguments.schedule.empty()) return;
  sum.violations = total - killed;
  PrintRow("M2", component.name, sum,
           absl::StrFormat("\"weakened\":%d,\"killed\":%d,\"not_shown\":%d", total, killed, not_shown));
}

}  // namespace weft::internal::model

namespace {

// False: it is none of ours.
bool Parse(std::string_view argument) {
  using weft::internal::model::arguments;
  using weft::internal::model::Size;
  const size_t equals = argument.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = argument.substr(0, equals);
  const std::string value(argument.substr(equals + 1));
  if (name == "--size") {
    if (value != "small" && value != "default" && value != "nightly") return false;
    arguments.size = value == "small" ? Size::kSmall : value == "default" ? Size::kDefault : Size::kNightly;
  } else if (name == "--seed") {
    arguments.seed = std::strtoull(value.c_str(), nullptr, 10);
    return arguments.seed != 0;
  } else if (name == "--max_executions") {
    arguments.max_executions = std::strtoll(value.c_str(), nullptr, 10);
    return arguments.max_executions > 0;
  } else if (name == "--preemptions") {
    arguments.preemptions = std::atoi(value.c_str());
  } else if (name == "--program") {
    arguments.program = value;
  } else if (name == "--schedule") {
    arguments.schedule = value;
  } else if (name == "--weaken") {
    arguments.weaken = value;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const char* size = std::getenv("WEFT_MODEL_SIZE")) {
    if (!Parse(std::string("--size=") + size)) {
      std::cerr << "WEFT_MODEL_SIZE is small, default or nightly; it is " << size << std::endl;
      return 2;
    }
  }
  for (int i = 1; i < argc; ++i) {
    if (!Parse(argv[i])) {
      std::cerr << "not understood: " << argv[i] << std::endl;
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
