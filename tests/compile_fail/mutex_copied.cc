// A copy of a Mutex, as a parameter by value makes it.
// expect: call to implicitly-deleted copy constructor of 'weft::Mutex'
#include "weft/weft.h"

#ifdef MISUSE
void Use(weft::Mutex mutex);
#else
void Use(weft::Mutex& mutex);
#endif

void Caller() {
  weft::Mutex mutex;
  Use(mutex);
}
