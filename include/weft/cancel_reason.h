// CancelReason: who asked for a cancellation, why, when, from which line, and by which way the request came.
//
//   absl::Status done = co_await weft::CatchCancelled(Copy(from, to));
//   if (weft::CancelReason reason = weft::ReasonOf(done)) LOG << reason.ToString();
//   // "shut down: no quorum (virtual thread #7), at server/replicate.cc:31"
//
// The reason travels with the request, unchanged, from where the request was made to every thread that it ends. It is
// in the status that WithTimeout(), CatchCancelled() and the other boundaries return. The status of a cancelled
// subtask, or thread, has it without `when` and `path`.
#ifndef WEFT_CANCEL_REASON_H_
#define WEFT_CANCEL_REASON_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace weft {

struct CancelReason {
  enum class Kind : uint8_t {
    kNone,              // not cancelled
    kSiblingFailed,     // another subtask of the scope failed, and the scope's policy stops the rest
    kSiblingSucceeded,  // another subtask of the scope succeeded, and one success is enough
    kShutdown,          // Shutdown() of a scope, or ShutdownNow() of an executor, was called
    kScopeClosed,       // the scope was closed or destroyed before its subtasks had ended; or an executor was destroyed
    kTimeout,           // a deadline passed
    kRuntimeExit,       // the runtime is being destroyed
    kStopRequested,     // the std::stop_token of a WithStopToken() was asked to stop
    kOthersEnded,       // of a daemon: the subtasks that its scope waits for have ended
    kEventSet,          // the Event of a WithStopEvent() was set
    kRequested,         // VirtualThread::RequestCancel() was called
    kFutureCancelled,   // Cancel() of the future of a submitted task, or of a Then(), was called
  };

  Kind kind = Kind::kNone;
  // The id of the virtual thread that caused it: the sibling, the caller of Shutdown(), the requester. 0 if none did.
  uint64_t thread = 0;
  // When the request was made, on the runtime's wall clock; InfinitePast() if that is not known.
  absl::Time when = absl::InfinitePast();
  // "file.cc:31": the line of the Shutdown(), RequestCancel(), Close(), WithTimeout(), or the opening of the scope.
  std::string where = {};
  std::string text = {};  // the text passed to Shutdown() or RequestCancel()
  // The way of the request, from where it was caught outwards. One entry for each virtual thread below the one that was
  // asked first: "VirtualThread[#9,fetch], forked in the scope orders of VirtualThread[#3]".
  std::vector<std::string> path = {};

  explicit operator bool() const { return kind != Kind::kNone; }
  friend bool operator==(const CancelReason&, const CancelReason&) = default;

  // Everything except `when` and `path`.
  std::string ToString() const;
};

// A status for `reason`: kDeadlineExceeded for kTimeout, else kCancelled. The reason is attached as a payload, so that
// ReasonOf() tells a deadline of Weft's from a callee's own kDeadlineExceeded. The payload, weft.dev/cancel-reason, is
// a line of text: absl::Status::ToString() prints it, and ReasonOf() can read it in another process.
absl::Status CancelledStatus(const CancelReason& reason);

// The reason in `status`, or kNone if it has none.
CancelReason ReasonOf(const absl::Status& status);

// A string literal, kept by its address.
class Literal {
 public:
  consteval Literal(const char* text) : text_(text) {}  // a literal: it has to live as long as the program
  constexpr const char* c_str() const noexcept { return text_; }

 private:
  const char* text_;
};

namespace internal {

// `status`, with the reason attached.
absl::Status WithReason(absl::Status status, const CancelReason& reason);

}  // namespace internal
}  // namespace weft

#endif  // WEFT_CANCEL_REASON_H_
