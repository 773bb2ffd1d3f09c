// Words for a reason that are made at run time: they are kept by their address.
// expect: call to consteval function 'weft::Literal::Literal' is not a constant expression
#include <string>

#include "weft/weft.h"

weft::Task<void> Caller(std::string words) {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Shutdown(words.c_str());
#else
  scope.Shutdown("no quorum");
#endif
  (co_await scope.Join()).IgnoreFailures();
}
