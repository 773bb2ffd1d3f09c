// A Task of a const value.
// expect: Task<const T> is not supported; return Task<T>
#include <string>

#include "weft/weft.h"

#ifdef MISUSE
using Name = const std::string;
#else
using Name = std::string;
#endif

weft::Task<Name> Ask();

weft::Task<bool> Known() { co_return !(co_await Ask()).empty(); }
