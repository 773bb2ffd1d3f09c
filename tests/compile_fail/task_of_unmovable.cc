// A Task of what cannot be moved.
// expect: the T of Task<T> is void, a reference, or an object that can be moved
#include <memory>
#include <mutex>

#include "weft/weft.h"

#ifdef MISUSE
using Result = std::mutex;
#else
using Result = std::unique_ptr<std::mutex>;
#endif

weft::Task<Result> Make() { co_return {}; }
