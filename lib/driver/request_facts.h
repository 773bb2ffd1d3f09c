// Layer driver. What do the drivers ask about a kind of request?
//
// One of the three switches over codes; the others are in plain_call.cc and in UringDriver::Place().
#ifndef WEFT_LIB_DRIVER_REQUEST_FACTS_H_
#define WEFT_LIB_DRIVER_REQUEST_FACTS_H_

#include <cstdint>

#include "weft/internal/operation.h"

namespace weft::internal {

// Which way data goes, as seen from this process. It says what epoll waits for, and which way an operation carries a
// happens-before edge (kernel_order.h).
enum class Flow : uint8_t { kIn, kOut };

struct RequestFacts {
  Flow flow;
  bool transfers;    // it moves `transfer.length` bytes at most
  bool calls_first;  // io_uring tries the plain call before it submits (UringDriver::EndsAtOnce())
  bool polled;       // io_uring waits for the descriptor to become ready, and then makes the plain call
};

constexpr RequestFacts FactsOf(IoRequest::Code code) noexcept {
  switch (code) {
    case IoRequest::Code::kReceive:
      return {.flow = Flow::kIn, .transfers = true, .calls_first = false, .polled = false};
    case IoRequest::Code::kSend:
      return {.flow = Flow::kOut, .transfers = true, .calls_first = true, .polled = false};
    // Polled, because the kernel's own accept is woken alone: if it is cancelled then, or finds no free descriptor, the
    // others wait on beside the connection. A poll wakes all.
    case IoRequest::Code::kAccept:
      return {.flow = Flow::kIn, .transfers = false, .calls_first = true, .polled = true};
    case IoRequest::Code::kConnect:
      return {.flow = Flow::kOut, .transfers = false, .calls_first = false, .polled = false};
    case IoRequest::Code::kCallWhenReadable:
    case IoRequest::Code::kCallWhenHungUp:
      return {.flow = Flow::kIn, .transfers = false, .calls_first = true, .polled = true};
    case IoRequest::Code::kCallWhenWritable:
      return {.flow = Flow::kOut, .transfers = false, .calls_first = true, .polled = true};
  }
  __builtin_unreachable();
}

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_REQUEST_FACTS_H_
