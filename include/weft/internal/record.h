// What a virtual thread has open, innermost first: scopes, and the boundaries at which a cancellation stops.
//
// The records of a thread lie in its own frames and form one stack. Only the thread itself (or the carrier that unwinds
// it) pushes and pops, without a lock unless another thread looks. Other threads, which bring a request to cancel, walk
// the stack under the thread's records lock, after they have made sure that the thread knows of it (records.h).
#ifndef WEFT_INTERNAL_RECORD_H_
#define WEFT_INTERNAL_RECORD_H_

#include "weft/internal/compiler.h"

#include <cstdint>

namespace weft::internal {

struct Record {
  enum class Kind : uint8_t {
    kScope,        // ScopeRecord: has children
    kOwnRequest,   // Boundary: stops the request that it makes itself, when its time is up, or a token is stopped
    kCatch,        // Boundary: stops any request that arrives while it is open
    kShield,       // Boundary: hides the requests to what is outside from what is inside
    kGraceShield,  // the same, until its grace is over: then it is `requested`, and hides nothing
  };

  explicit Record(Kind record_kind) noexcept : kind(record_kind) {}
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  Record* outer;  // once it is pushed
  const Kind kind;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_RECORD_H_
