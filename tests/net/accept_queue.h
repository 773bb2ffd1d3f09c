// What the real kernel tells of the queue of a TCP listener.
#ifndef WEFT_TESTS_NET_ACCEPT_QUEUE_H_
#define WEFT_TESTS_NET_ACCEPT_QUEUE_H_

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "gtest/gtest.h"

namespace weft::testing {

// Does the listener answer nobody more?
inline bool QueueIsFull(int listener) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  EXPECT_EQ(::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_unacked > info.tcpi_sacked;  // of a listener: how many are in the queue, and may be
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_ACCEPT_QUEUE_H_
