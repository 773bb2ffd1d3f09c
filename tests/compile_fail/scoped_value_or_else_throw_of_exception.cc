// OrElseThrow() of an exception, not of what makes one.
// expect: does not provide a call operator
#include <cstddef>
#include <stdexcept>
#include <string>

#include "weft/weft.h"

weft::ScopedValue<std::string> kUser;

size_t Length() {
#ifdef MISUSE
  return kUser.OrElseThrow(std::logic_error("nobody")).size();
#else
  return kUser.OrElseThrow([] { return std::logic_error("nobody"); }).size();
#endif
}
