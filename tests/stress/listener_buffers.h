// The send buffers of the connections that the process's only listener accepts, which Weft has no option for.
#ifndef WEFT_TESTS_STRESS_LISTENER_BUFFERS_H_
#define WEFT_TESTS_STRESS_LISTENER_BUFFERS_H_

#include <sys/socket.h>

#include "gtest/gtest.h"

namespace weft::testing {

// What the listener has, the connections that it accepts have too.
inline void ShrinkSendBuffersOfListener(int bytes) {
  constexpr int kMostDescriptors = 64;
  for (int fd = 0; fd < kMostDescriptors; ++fd) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    return;
  }
  FAIL() << "no descriptor listens";
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_LISTENER_BUFFERS_H_
