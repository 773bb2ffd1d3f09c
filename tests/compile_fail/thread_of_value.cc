// A thread that is started with what is neither a Task nor a closure: here the result of the call.
// expect: a thread is started with a Task, moved, or with a closure without parameters that returns one
#include "weft/thread_builder.h"

#ifdef MISUSE
int Count();
#else
weft::Task<int> Count();
#endif

void Caller() { weft::VirtualThread::Start(Count()); }
