// Asks several servers: for what two of them agree on, for the first answer, and for all answers.
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <ranges>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

struct Replica {
  std::string name;
  absl::Duration latency;
  absl::StatusOr<std::string> stored;
};

const std::array<Replica, 5> replicas = {{
    {"a", absl::Milliseconds(1), "blue"},
    {"b", absl::Milliseconds(2), "green"},
    {"c", absl::Milliseconds(3), absl::DataLossError("c has lost its disk")},
    {"d", absl::Milliseconds(1), "blue"},
    {"e", absl::InfiniteDuration(), "blue"},
}};

weft::Task<absl::StatusOr<std::string>> Read(Replica replica) {
  co_await weft::Sleep(replica.latency);
  co_return replica.stored;
}

// clang-format off
//! [policy]
// A policy of one's own: goes on until two replicas say the same.
class TwoOfAKind {
 public:
  using Value = std::string;                           // every subtask yields one
  bool OnComplete(const weft::Subtask<std::string>& said) {  // one call at a time: no lock, no atomics
    if (said.state() == weft::AnySubtask::State::kSuccess && ++votes_[*said] == 2) agreed_ = *said;
    return agreed_.has_value();                        // true: shut the scope down
  }
  std::optional<std::string> Result(const weft::Outcome&) { return agreed_; }  // what Join() returns

 private:
  std::map<std::string, int> votes_;
  std::optional<std::string> agreed_;
};

weft::Task<std::optional<std::string>> ReadFromTwo() {
  weft::StructuredTaskScope<TwoOfAKind> scope;
  for (const Replica& replica : replicas) scope.Fork(Read(replica));
  co_return co_await scope.Join();
}
//! [policy]
// clang-format on

weft::Task<absl::StatusOr<std::string>> FromCache() {
  co_await weft::Sleep(absl::InfiniteDuration());
  co_return absl::NotFoundError("not in the cache");
}

void Say(const char* what, const absl::StatusOr<std::string>& said) {
  std::printf("%s: %s\n", what, said.ok() ? said->c_str() : said.status().ToString().c_str());
}

weft::Task<absl::Status> Main() {
  const std::optional<std::string> agreed = co_await ReadFromTwo();
  std::printf("two say: %s\n", agreed.value_or("nothing").c_str());

  Say("the first that knows", co_await weft::Any(Read(replicas[2]), Read(replicas[1]), Read(replicas[4])));
  Say("the first that answers", co_await weft::Race(Read(replicas[2]), FromCache()));

  //! [all]
  // A range of tasks: all at once, the results in the order of the range.
  const auto values = co_await weft::All(replicas | std::views::take(2) | std::views::transform(Read));
  //! [all]
  if (!values.ok()) co_return values.status();
  std::printf("all: %s and %s\n", values->at(0).c_str(), values->at(1).c_str());
  const auto failed = co_await weft::All(replicas | std::views::drop(2) | std::views::transform(Read));
  std::printf("one failure ends the others: %s\n", failed.status().ToString().c_str());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
