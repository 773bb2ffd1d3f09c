// A value that cannot be copied, read through a future that has a name.
// expect: a value that cannot be copied is moved out: co_await std::move(future).Get()
#include <memory>
#include <utility>

#include "weft/executor/future.h"
#include "weft/weft.h"

weft::Task<int> Caller(weft::Future<std::unique_ptr<int>> future) {
#ifdef MISUSE
  co_return *co_await future.Get();
#else
  co_return *co_await std::move(future).Get();
#endif
}
