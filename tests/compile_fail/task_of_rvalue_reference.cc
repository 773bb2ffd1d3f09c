// A Task of an rvalue reference.
// expect: Task<T&&> is not supported; return Task<T>
#include <cstddef>
#include <string>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<std::string&&> Name();
#else
weft::Task<std::string> Name();
#endif

weft::Task<size_t> Length() { co_return (co_await Name()).size(); }
