// Outcome: what Join() returns of a scope's subtasks.
//
// An outcome cannot be dropped by accident: it is [[nodiscard]]. Take it as a status, or as an exception, or say that
// failures do not matter:
//
//   absl::Status joined = co_await scope.Join();
//   (co_await scope.Join()).ThrowIfFailed();
//   (co_await scope.Join()).IgnoreFailures();
//
// Inside of a boundary (cancellation.h) it becomes a status, or a StatusOr: the first failure's, or the boundary's.
//
// A subtask fails by throwing, or by returning a status that is not OK. The first failure is the outcome's. failures()
// has the later ones too, up to kMaxSuppressed; failure_count() counts all. Failures of either style can be read in the
// other:
//
//   exception as a status                                   status as an exception
//   std::bad_alloc                  kResourceExhausted      weft::StatusError, whose status() it is
//   std::invalid_argument           kInvalidArgument
//   std::out_of_range               kOutOfRange
//   weft::StatusError               its status()
//   absl::BadStatusOrAccess         its status()
//   any other std::exception        kUnknown, what()
//   anything else                   kUnknown
#ifndef WEFT_OUTCOME_H_
#define WEFT_OUTCOME_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/check.h"
#include "weft/internal/status_traits.h"

namespace weft {

// A status, thrown.
class StatusError : public std::runtime_error {
 public:
  explicit StatusError(absl::Status status) : std::runtime_error(status.ToString()), status_(std::move(status)) {}
  const absl::Status& status() const noexcept { return status_; }

 private:
  absl::Status status_;
};

// By the table above. A null pointer becomes OK.
absl::Status ExceptionToStatus(const std::exception_ptr& exception);

// How one subtask failed.
struct Failure {
  uint64_t thread = 0;             // id of its virtual thread
  absl::Status status = {};        // not OK
  std::exception_ptr exception = {};  // what it threw; null if it returned the status

  // Throws the exception, or the status as a StatusError. Where exceptions are off: a CHECK that prints the status.
  [[noreturn]] void Throw() const;
};

class [[nodiscard("look at the outcome of Join(), or say .IgnoreFailures()")]] Outcome {
 public:
  // Failures kept beyond the first. A server's scope may see any number; 64 in all are enough to find out why.
  static constexpr size_t kMaxSuppressed = 63;

  Outcome() = default;
  explicit Outcome(std::vector<Failure> failures, uint64_t failure_count)
      : failures_(std::move(failures)), failure_count_(failure_count) {}

  bool ok() const noexcept { return failures_.empty(); }
  // OK, or the first failure.
  const absl::Status& status() const noexcept {
    static const absl::Status ok;
    return failures_.empty() ? ok : failures_.front().status;
  }
  operator absl::Status() const { return status(); }  // implicit: `absl::Status joined = co_await scope.Join();`
  // What the first failure threw. Null if there was no failure, or it was a status.
  std::exception_ptr exception() const noexcept { return failures_.empty() ? nullptr : failures_.front().exception; }

  // Throws the first failure: the subtask's own exception, or its status as a StatusError.
  void ThrowIfFailed() const {
    if (!failures_.empty()) failures_.front().Throw();
  }
  void IgnoreFailures() const noexcept {}

  // The failures in the order in which they came: the first 1 + kMaxSuppressed of them.
  const std::vector<Failure>& failures() const noexcept { return failures_; }
  // How many subtasks failed, including those whose failures were not kept.
  uint64_t failure_count() const noexcept { return failure_count_; }

 private:
  std::vector<Failure> failures_;
  uint64_t failure_count_ = 0;
};

// The outcome of a scope that ends with one result.
template <class T>
class [[nodiscard("look at the outcome of Join()")]] ValueOutcome {
  using Kept = internal::Kept<T>;  // T, or a std::reference_wrapper

 public:
  explicit ValueOutcome(Kept value) : value_(std::move(value)) {}
  explicit ValueOutcome(Outcome failed) : failed_(std::move(failed)) {}

  bool ok() const noexcept { return value_.has_value(); }
  // OK, or why there is no value: the first failure; kNotFound if no subtask completed at all.
  const absl::Status& status() const noexcept { return failed_.status(); }
  const std::vector<Failure>& failures() const noexcept { return failed_.failures(); }

  // The value; without one, throws the first failure.
  T value() && {
    if (!value_.has_value()) failed_.failures().front().Throw();
    return *std::move(value_);
  }
  operator absl::StatusOr<Kept>() && {  // implicit: `absl::StatusOr<T> result = co_await scope.Join();`
    if (!value_.has_value()) return failed_.status();
    return *std::move(value_);
  }
  void IgnoreFailures() const noexcept {}

 private:
  std::optional<Kept> value_;
  Outcome failed_;
};

namespace internal {

// So `(co_await WithTimeout(timeout, scope.Join())).ok()` is false if a subtask has failed.
template <>
struct BoundaryResultFor<Outcome> {
  using Type = absl::Status;
};
template <class T>
struct BoundaryResultFor<ValueOutcome<T>> {
  using Type = absl::StatusOr<Kept<T>>;
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_OUTCOME_H_
