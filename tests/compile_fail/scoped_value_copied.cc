// A copy of a ScopedValue: its address is the key.
// expect: call to deleted constructor of
#include <cstddef>
#include <string>

#include "weft/weft.h"

weft::ScopedValue<std::string> kUser;

size_t Length() {
#ifdef MISUSE
  auto user = kUser;
#else
  auto& user = kUser;
#endif
  return user.Get().size();
}
