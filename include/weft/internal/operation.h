// One request to the kernel, and what becomes of it.
//
// An Operation is embedded in the awaiter that waits for it. It is bound to the driver it was started on, not to its
// descriptor and not to the virtual thread, which may resume on any carrier. From Driver::Start() until complete() the
// kernel may own the operation and its buffer; neither may be destroyed. (lib/driver/driver.h)
//
// What is wanted is an IoRequest: a code, and the member of the union that the codes of its family use.
//
//   family     codes              member
//   transfer   kReceive, kSend    transfer
//   address    kAccept, kConnect  address
//   call       kCallWhen...       call
//
// The last family is for everything that is not worth an entry of its own in the drivers: datagrams, several buffers at
// once, descriptors that travel, pipes, timers, signals, and mere readiness. Its call is made at once; if it would
// block, the driver waits for the descriptor to become ready, and makes it again.
//
// To add a code: its value and, for a new family, its member. Then the compiler asks for a case in each of three
// switches: what both drivers ask of it (lib/driver/request_facts.h), the plain call that epoll makes
// (lib/driver/plain_call.cc), and the entry of the submission queue (UringDriver::Place()).
#ifndef WEFT_INTERNAL_OPERATION_H_
#define WEFT_INTERNAL_OPERATION_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/list.h"

struct sockaddr;  // <sys/socket.h> is for those who have one

namespace weft::internal {

class Driver;
struct PendingOperations;
struct PendingTag;

// A value. The descriptor is still to be set: it is known when the operation is started.
struct IoRequest {
  enum class Code : uint8_t {
    kReceive,
    kSend,
    kAccept,
    kConnect,
    kCallWhenReadable,
    kCallWhenWritable,
    kCallWhenHungUp,
  };

  struct Transfer {
    void* buffer;   // kSend only reads it
    size_t length;  // bytes
  };
  struct Address {
    sockaddr* address;  // kAccept: output, may be null; kConnect: input
    uint32_t* length;  // same, in and out
  };

  // A call of its own, on a descriptor in non-blocking mode.
  struct Call {
    // Returns the result, or -errno; -EAGAIN: it would block, until the descriptor is ready; and as long as it would
    // not block, the descriptor is ready. Never -ECANCELED. Called by any carrier, also with locks of the driver held:
    // it must not block, and knows nothing of virtual threads. All requests of one direction of a descriptor, except
    // kCallWhenHungUp, want the same of it: if one would block, so would the others.
    int32_t (*make)(int fd, void* data) noexcept;
    void* data;
  };

  static IoRequest Receive(void* buffer, size_t length) noexcept {
    return {.code = Code::kReceive, .transfer = {buffer, length}};
  }
  static IoRequest Send(const void* buffer, size_t length) noexcept {
    return {.code = Code::kSend, .transfer = {const_cast<void*>(buffer), length}};
  }
  // `address` and `length` may be null.
  static IoRequest Accept(sockaddr* address, uint32_t* length) noexcept {
    return {.code = Code::kAccept, .address = {address, length}};
  }
  static IoRequest Connect(const sockaddr* address, uint32_t* length) noexcept {
    return {.code = Code::kConnect, .address = {const_cast<sockaddr*>(address), length}};
  }

  static IoRequest CallWhenReadable(const Call& call) noexcept {
    return {.code = Code::kCallWhenReadable, .call = call};
  }
  static IoRequest CallWhenWritable(const Call& call) noexcept {
    return {.code = Code::kCallWhenWritable, .call = call};
  }
  // When the peer has finished writing, or the connection is gone.
  static IoRequest CallWhenHungUp(const Call& call) noexcept { return {.code = Code::kCallWhenHungUp, .call = call}; }

  Code code;
  int fd = -1;  // in non-blocking mode, except for kReceive and kSend
  union {
    Transfer transfer;
    Address address;
    Call call;
  };
};

struct Operation : ListNode<PendingTag> {
  explicit Operation(const IoRequest& wanted = IoRequest::Receive(nullptr, 0)) noexcept : request(wanted) {}

  // ---- Written before Start(), read-only after it.
  IoRequest request;
  PendingOperations* pending = nullptr;  // of the descriptor; null: it stays open until the operation has ended
  // Called once, when an operation that Start() left pending has ended: from a Poll() or Relieve() of any driver of the
  // backend, on the thread that makes it. That may be another thread than Start()'s, and so before Start() has
  // returned: the caller of Start() touches the operation no more unless the answer was true. The operation may be
  // destroyed before complete() returns. Must not block.
  void (*complete)(Operation&) noexcept = nullptr;

  // ---- The outcome, valid once ended.
  // Bytes (0 is the end of the stream), the accepted descriptor (non-blocking, close-on-exec), 0 of a connect, what a
  // call of its own has returned, or -errno.
  int32_t result = 0;
  // -ECANCELED and a cancellation was asked for. An unasked -ECANCELED is started again by the driver, never shown.
  bool cancelled = false;

  // ---- The driver's own.
  Atomic<uint8_t> state{0};          // relaxed: the driver's lock or its CancelInbox orders what counts
  Driver* driver = nullptr;          // set by Start()
  Operation* next = nullptr;         // in the queue or list of the driver that holds it
  Plain<Operation*> link = nullptr;  // in the CancelInbox; epoll: before that, the waiter before
  void* slot = nullptr;              // epoll: the queue it waits in; io_uring: set while a poll stands for it
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_OPERATION_H_
