// A CancelReason on its way: kept, without allocation, by the boundary that it was requested of and by the scopes that
// it reaches. It becomes a CancelReason where a caller asks for that. (explain.h)
#ifndef WEFT_INTERNAL_CANCEL_CAUSE_H_
#define WEFT_INTERNAL_CANCEL_CAUSE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

#include "weft/cancel_reason.h"

namespace weft::internal {

struct CancelCause {
  // Without a source location where `where` names no file.
  CancelCause(CancelReason::Kind kind, uint64_t thread, int64_t when_ns = kUnknownTime, std::source_location where = {},
              const char* text = nullptr) noexcept
      : thread(thread), kind(static_cast<uint8_t>(kind)), when_ns(when_ns), where(where), text(text) {}

  // Of one and the same request?
  bool IsOf(const CancelCause& other) const noexcept {
    return thread == other.thread && kind == other.kind && when_ns == other.when_ns &&
           where.line() == other.where.line();
  }

  static constexpr int64_t kUnknownTime = INT64_MIN;

  uint64_t thread : 56;  // ids are far smaller: a thousand million a second for a year are 2^55
  uint64_t kind : 8;     // CancelReason::Kind
  int64_t when_ns;       // on the runtime's clock
  std::source_location where;
  const char* text;  // null, or lives as long as the program
};
static_assert(sizeof(CancelCause) == 32, "kept in four words of a control block (ThreadBlock::KeepCause)");

// Who has asked a virtual thread to end as a whole. That also says where the cause is: what a scope asks of many
// threads has one cause, and the scope keeps it.
enum class Asker : uint8_t {
  kNobody,
  kScope,        // the scope that the thread was forked into, at its shutdown
  kScopeAgain,   // the same, later on: a child that had called Shutdown() was spared then
  kJoin,         // the same, of a daemon: the others have ended
  kAlone,        // for this thread alone: the cause is in its identity; a root has it itself
  kAloneOfKind = 128,  // plus CancelReason::Kind: the same, and there was no memory to keep more of the cause
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CANCEL_CAUSE_H_
