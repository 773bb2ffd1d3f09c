// Is there an order of these calls, one after the other, in which a sequential object gives the same answers?
//
// The search is Wing's and Gong's ("Testing and Verifying Concurrent Objects", 1993), with Lowe's memory of
// configurations that have failed ("Testing for linearizability", 2017). Calls that wait have two points instead of
// one, as in the dual data structures of Scherer and Scott (2004): the call is registered, and later it is answered. So
// a model can say who is served first. Each point lies between the call and its return.
//
// A model is a sequential object:
//
//   std::optional<Answer> Begin(int thread, Call call);   // the answer; or nothing: the call waits
//   std::optional<Answer> Take(int thread);               // what its call that waits has been answered meanwhile
//   bool Withdraw(int thread);                            // cancelled: it waits no more; false: answered before
//   bool operator==(const Model&) const;  AbslHashValue
//
// WaitingCalls, below, is the part of a model that has the last three. A model whose calls may choose has a
// `int Choices(Call)`, how many outcomes there are, and a `void Prefer(int)`, called before Begin().
//
// A call that was cancelled has done nothing. That is Weft's rule: a wait completes, or it is cancelled, never both.
// For an object whose calls may have done something, `kCancelledMayHaveHappened` is true in its model.
#ifndef WEFT_TESTS_LINEARIZABILITY_SEARCH_H_
#define WEFT_TESTS_LINEARIZABILITY_SEARCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace weft::testing {

using Answer = int64_t;

struct Call {
  int kind = 0;
  int64_t argument = 0;
  bool operator==(const Call&) const = default;
};

// One call in the history of a run. Times are numbers of events.
struct Operation {
  static constexpr int64_t kNever = INT64_MAX;
  enum class End : uint8_t {
    kAnswered,
    kCancelled,
    kUnknown,  // happens by itself, some time after `invoked`, or has not happened yet
  };

  int thread = 0;
  Call call;
  int64_t invoked = 0;
  int64_t registered = kNever;    // by then, since the thread was parked
  int64_t cancel_asked = kNever;  // not cancelled before
  int64_t ended = kNever;
  End end = End::kUnknown;
  Answer answer = 0;
};

// The calls that wait for a model, first come, first served, and the answers that they have got.
class WaitingCalls {
 public:
  struct Waiting {
    int thread;
    Call call;
    bool operator==(const Waiting&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Waiting& w) {
      return H::combine(std::move(h), w.thread, w.call.kind, w.call.argument);
    }
  };

  bool empty() const { return queue_.empty(); }
  const Waiting& front() const { return queue_.front(); }
  // All that wait, oldest first.
  const std::vector<Waiting>& all() const { return queue_; }

  std::nullopt_t Add(int thread, Call call) {
    queue_.push_back({thread, call});
    return std::nullopt;
  }
  // It waits no more: it has its answer.
  void Give(int thread, Answer answer) {
    Withdraw(thread);
    answers_.emplace_back(thread, answer);
  }
  std::optional<Answer> Take(int thread) {
    for (auto at = answers_.begin(); at != answers_.end(); ++at) {
      if (at->first != thread) continue;
      const Answer answer = at->second;
      answers_.erase(at);
      return answer;
    }
    return std::nullopt;
  }
  bool Withdraw(int thread) {
    return std::erase_if(queue_, [thread](const Waiting& each) { return each.thread == thread; }) > 0;
  }

  bool operator==(const WaitingCalls&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const WaitingCalls& w) {
    return H::combine(std::move(h), w.queue_, w.answers_);
  }

 private:
  std::vector<Waiting> queue_;
  std::vector<std::pair<int, Answer>> answers_;
};

template <class Model>
concept CancelledMayHaveHappened = Model::kCancelledMayHaveHappened;

template <class Model>
class Search {
 public:
  static bool Linearizable(const std::vector<Operation>& history, const Model& initial) {
    return Search(history).Extend(initial);
  }

 private:
  enum Phase : char { kNotBegun = 'n', kWaits = 'w', kDone = 'd' };

  explicit Search(const std::vector<Operation>& history) : history_(history), phases_(history.size(), kNotBegun) {}

  bool IsOwn(size_t i) const { return history_[i].end == Operation::End::kUnknown; }

  // The next point of a call lies between these two.
  int64_t Earliest(size_t i) const {
    const Operation& of = history_[i];
    const bool waits_to_be_cancelled = phases_[i] == kWaits && of.end == Operation::End::kCancelled;
    return waits_to_be_cancelled ? of.cancel_asked : of.invoked;
  }
  int64_t Latest(size_t i) const {
    return phases_[i] == kNotBegun ? std::min(history_[i].registered, history_[i].ended) : history_[i].ended;
  }

  // Can the calls that are not done come after those that are?
  bool Extend(const Model& model) {
    int64_t deadline = Operation::kNever;
    bool all = true;
    for (size_t i = 0; i < history_.size(); ++i) {
      if (phases_[i] == kDone) continue;
      all = all && IsOwn(i);
      deadline = std::min(deadline, Latest(i));
    }
    if (all) return true;
    if (!failed_.empty() && failed_.contains(std::pair(phases_, model))) return false;
    // What need not have happened comes last: mostly it is not needed yet.
    for (const bool own : {false, true}) {
      for (size_t i = 0; i < history_.size(); ++i) {
        if (phases_[i] == kDone || IsOwn(i) != own || Earliest(i) > deadline) continue;
        const char before = phases_[i];
        if (before == kNotBegun ? TryBegin(i, model) : TryEnd(i, model)) return true;
        phases_[i] = before;
      }
    }
    failed_.emplace(phases_, model);
    return false;
  }

  bool TryBegin(size_t i, const Model& model) {
    if constexpr (requires(Model chosen) { chosen.Prefer(0); }) {
      for (int choice = model.Choices(history_[i].call); choice > 0; --choice) {
        Model next = model;
        next.Prefer(choice - 1);
        phases_[i] = kNotBegun;
        if (TryBeginAs(i, next, model)) return true;
      }
      return false;
    } else {
      return TryBeginAs(i, model, model);
    }
  }

  bool TryBeginAs(size_t i, Model next, const Model& model) {
    const Operation& of = history_[i];
    const bool cancelled = of.end == Operation::End::kCancelled;
    const std::optional<Answer> answer = next.Begin(of.thread, of.call);
    if (!answer.has_value()) {
      phases_[i] = kWaits;
      if (of.end != Operation::End::kUnknown && Extend(next)) return true;
    } else {
      phases_[i] = kDone;
      const bool as_seen =
          cancelled ? CancelledMayHaveHappened<Model> : of.end == Operation::End::kUnknown || *answer == of.answer;
      if (as_seen && Extend(next)) return true;
    }
    // Cancelled before it was registered: there is no trace of it.
    phases_[i] = kDone;
    return cancelled && of.cancel_asked <= of.ended && of.registered == Operation::kNever && Extend(model);
  }

  bool TryEnd(size_t i, const Model& model) {
    const Operation& of = history_[i];
    phases_[i] = kDone;
    Model next = model;
    if (of.end == Operation::End::kAnswered) return next.Take(of.thread) == of.answer && Extend(next);
    if (next.Withdraw(of.thread)) return Extend(next);
    return CancelledMayHaveHappened<Model> && Extend(next);
  }

  const std::vector<Operation>& history_;
  std::string phases_;  // of each operation
  absl::flat_hash_set<std::pair<std::string, Model>> failed_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_LINEARIZABILITY_SEARCH_H_
