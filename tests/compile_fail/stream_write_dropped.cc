// What came of a write, dropped.
// expect: ignoring return value
#include "weft/weft.h"

weft::Task<void> Caller(weft::net::TcpStream stream) {
#ifdef MISUSE
  co_await stream.Write("ping");
#else
  (co_await stream.Write("ping")).IgnoreError();
#endif
}
