// Weft: virtual threads, structured concurrency and blocking-style I/O for C++20. Includes what most programs need:
// tasks, scopes, cancellation, time, TCP, events, mutexes and semaphores. Include the other headers by their names.
#ifndef WEFT_WEFT_H_
#define WEFT_WEFT_H_

#include "weft/internal/compiler.h"

#include "weft/all.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/deadline.h"
#include "weft/errno.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/foreign.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"
#include "weft/io_backend.h"
#include "weft/net/closed.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/outcome.h"
#include "weft/policy.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/scope_options.h"
#include "weft/scoped_value.h"
#include "weft/stop_event.h"
#include "weft/subtask.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time.h"
#include "weft/time_span.h"
#include "weft/unit.h"
#include "weft/version.h"
#include "weft/virtual_thread.h"

#endif  // WEFT_WEFT_H_
