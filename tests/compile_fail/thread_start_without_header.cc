// VirtualThread::Start() without the header that defines it.
// expect: include "weft/thread_builder.h"
#ifndef MISUSE
#include "weft/thread_builder.h"
#endif
#include "weft/virtual_thread.h"
#include "weft/task.h"

weft::Task<int> Count();

void Caller() { weft::VirtualThread::Start(Count()); }
