// A Task of an array.
// expect: the T of Task<T> is void, a reference, or an object that can be moved
#include <array>

#include "weft/weft.h"

#ifdef MISUSE
using Digest = char[16];
#else
using Digest = std::array<char, 16>;
#endif

weft::Task<Digest> Ask();

weft::Task<char> First() { co_return (co_await Ask())[0]; }
