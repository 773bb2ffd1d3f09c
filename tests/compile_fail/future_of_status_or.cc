// A Future of a StatusOr.
// expect: a Future of a status flattens: a task of absl::StatusOr<T> makes a Future<T>
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Future<absl::StatusOr<int>> Ask(weft::Promise<absl::StatusOr<int>>& promise) { return promise.future(); }
#else
weft::Future<int> Ask(weft::Promise<int>& promise) { return promise.future(); }
#endif
