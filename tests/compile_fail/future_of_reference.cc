// A Future of a reference.
// expect: Future<T&> is not supported: return a pointer, or a std::reference_wrapper
#include "weft/executor/future.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Task<int> Caller(weft::Future<int&> future) { co_return co_await future.Get(); }
#else
weft::Task<int> Caller(weft::Future<int*> future) { co_return *co_await future.Get(); }
#endif
