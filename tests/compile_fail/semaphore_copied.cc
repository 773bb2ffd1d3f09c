// A copy of a Semaphore, as a parameter by value makes it.
// expect: call to implicitly-deleted copy constructor of 'weft::Semaphore'
#include "weft/weft.h"

#ifdef MISUSE
void Use(weft::Semaphore semaphore);
#else
void Use(weft::Semaphore& semaphore);
#endif

void Caller() {
  weft::Semaphore semaphore(1);
  Use(semaphore);
}
