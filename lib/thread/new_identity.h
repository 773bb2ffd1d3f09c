// Layer thread. An identity with a name, for those who must not throw.
#ifndef WEFT_LIB_THREAD_NEW_IDENTITY_H_
#define WEFT_LIB_THREAD_NEW_IDENTITY_H_

#include <new>
#include <string>

#include "weft/internal/compiler.h"
#include "weft/internal/thread_identity.h"

namespace weft::internal {

// With the name that make_name() returns. Null: there is no memory for one of both; where exceptions are off, for the
// identity.
template <class MakeName>
ThreadIdentity* NewIdentity(const MakeName& make_name) noexcept {
#if WEFT_EXCEPTIONS
  try {
    return new ThreadIdentity(make_name());
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
#else
  return new (std::nothrow) ThreadIdentity(make_name());
#endif
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_NEW_IDENTITY_H_
