// Layer net. What do TcpStream and UnixStream do alike?
//
// Every operation takes a reference to the socket, because it may go on after the stream was destroyed, which closes
// it. Every one begins an operation also if there is nothing to move, because it is a checkpoint.
#ifndef WEFT_LIB_NET_STREAM_H_
#define WEFT_LIB_NET_STREAM_H_

#include <span>

#include "absl/status/status.h"
#include "weft/internal/descriptor.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft::internal {

// ReadExactly().
Task<absl::Status> FillFrom(DescriptorRef socket, MutableBuffer buffer);
// Write(): what the kernel does not take at once of one buffer (WriteAwaiter), and several.
Task<absl::Status> SendAll(DescriptorRef socket, ConstBuffer data);
Task<absl::Status> SendAll(DescriptorRef socket, std::span<const ConstBuffer> parts);
// WaitHangUp().
Task<absl::Status> AwaitHangUp(DescriptorRef socket);

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_STREAM_H_
