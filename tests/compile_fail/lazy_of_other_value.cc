// A function that yields something else than the value.
// expect: the function of a Lazy<T> yields a T
#include "weft/sync/lazy.h"
#include "weft/weft.h"

weft::Task<int> Compute();

#ifdef MISUSE
weft::Lazy<long> lazy(&Compute);
#else
weft::Lazy<int> lazy(&Compute);
#endif
