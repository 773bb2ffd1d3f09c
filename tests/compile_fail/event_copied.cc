// A copy of an Event, as a parameter by value makes it.
// expect: call to deleted constructor of 'weft::Event'
#include "weft/weft.h"

#ifdef MISUSE
void Use(weft::Event event);
#else
void Use(weft::Event& event);
#endif

void Caller() {
  weft::Event event;
  Use(event);
}
