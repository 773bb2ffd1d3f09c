// The loop over all executions, and what came of it.
#include "lib/testing/model/checker.h"

#include <time.h>

#include <memory>
#include <string>
#include <string_view>

#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

#include "absl/strings/str_cat.h"
#include "lib/testing/model/choices.h"
#include "lib/testing/model/execution.h"
#include "lib/testing/model/search.h"
#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

double CpuSeconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Reports are not wanted for what an abandoned thread had allocated.
class LeaksAreIgnored {
 public:
#if __has_feature(address_sanitizer)
  LeaksAreIgnored() { __lsan_disable(); }
  ~LeaksAreIgnored() { __lsan_enable(); }
#else
  LeaksAreIgnored() {}
#endif
  LeaksAreIgnored(const LeaksAreIgnored&) = delete;
  LeaksAreIgnored& operator=(const LeaksAreIgnored&) = delete;
};

// What came of the last execution. One with a violation is run once more, for its trace and its schedule.
void Conclude(Search& search, Execution& execution, double start, Result& result) {
  result.steps = execution.total_steps();
  result.seconds = CpuSeconds() - start;
  if (!execution.failed()) return;
  result.violation = execution.violation();
  search.StopCutting();
  search.choices().StartText();
  result.trace = execution.RunTraced();
  result.schedule = search.choices().Text();
  WEFT_CHECK(execution.failed() && execution.violation() == result.violation)
      << "an execution that was run again ended otherwise: a program under the model checker depends on something else "
         "than its choices; first: "
      << result.violation << "; then: " << execution.violation();
}

}  // namespace

Result ExploreProgram(const ProgramType& type, const void* arguments, const Options& options) {
  const auto search = std::make_unique<Search>(options.seed);
  const auto execution = std::make_unique<Execution>(type, arguments, options, *search);
  const double start = CpuSeconds();
  const LeaksAreIgnored ignored;
  Result result;
  while (result.executions < options.max_executions && !result.exhausted) {
    execution->Run();
    ++result.executions;
    if (execution->failed()) break;
    switch (search->Advance()) {
      case Search::Next::kOther:
        break;
      case Search::Next::kAfresh:
        result.executions = 0;
        break;
      case Search::Next::kNone:
        result.exhausted = true;
        break;
    }
  }
  Conclude(*search, *execution, start, result);
  return result;
}

Result ReplayProgram(const ProgramType& type, const void* arguments, const Options& options,
                     std::string_view schedule) {
  const auto search = std::make_unique<Search>(/*seed=*/0);
  const auto execution = std::make_unique<Execution>(type, arguments, options, *search);
  const double start = CpuSeconds();
  const LeaksAreIgnored ignored;
  Result result;
  if (!search->choices().Parse(schedule)) return result;
  // A schedule has every choice, also those that are known to make no difference.
  search->TakeAll();
  execution->Run();
  result.executions = 1;
  result.exhausted = true;
  Conclude(*search, *execution, start, result);
  return result;
}

std::string Result::Report() const {
  if (violation.empty()) return "no violation";
  return absl::StrCat(violation, "\n  step  who     where                            what\n", trace, "  schedule ",
                      schedule, "\n");
}

}  // namespace weft::internal::model
