#include "weft/outcome.h"

#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/policy.h"

namespace weft {

absl::Status ExceptionToStatus([[maybe_unused]] const std::exception_ptr& exception) {
  if (exception == nullptr) return absl::OkStatus();
#if WEFT_EXCEPTIONS
  try {
    std::rethrow_exception(exception);
  } catch (const StatusError& error) {
    if (error.status().ok()) return absl::UnknownError("a StatusError of a status that is OK");
    return error.status();
  } catch (const absl::BadStatusOrAccess& error) {
    return error.status();
  } catch (const std::bad_alloc& error) {
    return absl::ResourceExhaustedError(error.what());
  } catch (const std::invalid_argument& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const std::out_of_range& error) {
    return absl::OutOfRangeError(error.what());
  } catch (const std::exception& error) {
    return absl::UnknownError(error.what());
  } catch (...) {
    return absl::UnknownError("an exception that is not a std::exception");
  }
#else
  return absl::UnknownError("an exception, in a program without exceptions");
#endif
}

namespace internal {

void ReportUncaught(const char* where, const absl::Status& status, const std::exception_ptr& exception) noexcept {
  if (TellUncaughtHandler(where, status, exception)) return;
  const std::string line = absl::StrCat("weft: ", where, ": ", status.ToString(), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

Outcome TakenOutcome(uint64_t thread) {
  constexpr const char* kTaken = "the value was taken, by a join before or through a handle of its subtask";
  return Outcome({Failure{thread, absl::FailedPreconditionError(kTaken)}}, 0);
}

}  // namespace internal

void Failure::Throw() const {
#if WEFT_EXCEPTIONS
  if (exception != nullptr) std::rethrow_exception(exception);
  throw StatusError(status);
#else
  WEFT_CHECK(false) << "virtual thread #" << thread << " failed, and exceptions are off: " << status.ToString();
  __builtin_unreachable();
#endif
}

}  // namespace weft
