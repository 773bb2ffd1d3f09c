// Why something was cancelled. The reason travels with the request, unchanged, from where it was made to whoever it ends.
#ifndef WEFT_CANCEL_REASON_H_
#define WEFT_CANCEL_REASON_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "weft/internal/compiler.h"

namespace weft {

struct CancelReason {
  enum class Kind : uint8_t {
    kNone,              // not cancelled
    kSiblingFailed,     // another subtask of the scope failed, and the scope's policy is to stop the rest
    kSiblingSucceeded,  // another subtask of the scope succeeded, and one success is enough
    kShutdown,          // Shutdown() was called
    kScopeClosed,       // the scope was closed or destroyed before its subtasks had ended
    kTimeout,           // a deadline passed
    kRuntimeExit,       // the runtime is being destroyed
  };

  Kind kind = Kind::kNone;
  uint64_t thread = 0;  // id of the virtual thread that caused it, 0 if none did: the sibling, the caller of Shutdown()

  explicit operator bool() const { return kind != Kind::kNone; }
  friend bool operator==(const CancelReason&, const CancelReason&) = default;

  // "a sibling failed (virtual thread #7)"
  std::string ToString() const;
};

// A status for `reason`: kDeadlineExceeded for kTimeout, else kCancelled. The reason is attached as a payload, so that
// ReasonOf() tells a deadline of Weft's from a callee's own kDeadlineExceeded.
absl::Status CancelledStatus(const CancelReason& reason);

// The reason in `status`, or kNone if it was not made by CancelledStatus().
CancelReason ReasonOf(const absl::Status& status);

}  // namespace weft

#endif  // WEFT_CANCEL_REASON_H_
