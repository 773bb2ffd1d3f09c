// A thread-local that could not be set.
// expect: a thread-local is of an object type that can be changed
#include "weft/virtual_thread_local.h"

#ifdef MISUSE
weft::VirtualThreadLocal<const int> variable("variable");
#else
weft::VirtualThreadLocal<int> variable("variable");
#endif

int Caller() { return variable.Get(); }
