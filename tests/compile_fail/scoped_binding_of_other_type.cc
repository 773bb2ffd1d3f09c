// A value bound to a ScopedValue of another type.
// expect: no known conversion from
#include <cstddef>
#include <string>

#include "weft/weft.h"

weft::ScopedValue<std::string> kUser;

weft::Task<size_t> Caller() {
#ifdef MISUSE
  weft::ScopedBinding user(kUser, 7);
#else
  weft::ScopedBinding user(kUser, "seven");
#endif
  co_return kUser.Get().size();
}
