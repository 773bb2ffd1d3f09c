// A function with a value, which only its own caller would get.
// expect: the function of Once::Run() yields nothing, or an absl::Status; a Lazy has a value
#include "weft/sync/once.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Once& once) {
#ifdef MISUSE
  static_cast<void>(co_await once.Run([] { return 1; }));
#else
  co_await once.Run([] {});
#endif
}
