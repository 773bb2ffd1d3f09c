// Why a virtual thread was cancelled, in words. (cancel_reason.h)
#ifndef WEFT_LIB_CANCEL_EXPLAIN_H_
#define WEFT_LIB_CANCEL_EXPLAIN_H_

#include "weft/cancel_reason.h"
#include "weft/internal/cancel_cause.h"

namespace weft::internal {

class ThreadBlock;

// Returns `cause` in words. `thread` is the caller, if it is a virtual thread: then also when the request was made and
// which way it came.
CancelReason Explain(const CancelCause& cause, ThreadBlock* thread = nullptr);

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_EXPLAIN_H_
