// A load for servers that echo, and the plainest such server: how long does each client wait for its answer at most?
//
// The client is a process of its own, so that it takes no part in what it measures. It keeps a number of connections,
// and on each sends the next 64 bytes as soon as the last have come back. They come as a storm: all are there, and have
// sent, before the server accepts the first. One processor is the client's, another one the server's, if there are two.
// It measures each connection's longest wait: percentiles of all requests do not show that some connections are served
// often and others hardly ever.
//
//   EchoClient client(port, load);          // forks, and returns when all are connected
//   ... serve until all of them have closed ...
//   EchoWaits waits = client.Finish();
#ifndef WEFT_BENCHMARKS_ECHO_H_
#define WEFT_BENCHMARKS_ECHO_H_

#include <sched.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace weft::benchmarks {

inline constexpr size_t kEchoBytes = 64;

struct EchoLoad {
  int connections = 0;
  int64_t nanos = 0;  // how long, from when all are connected; longer, if one has no answer by then
};

struct EchoWaits {
  int64_t first = 0;           // nanoseconds: the longest that a connection waited for its first answer
  int64_t longest = 0;         // nanoseconds: ... for any other
  int64_t median_longest = 0;  // nanoseconds: half of the connections never waited longer
  int64_t requests = 0;        // all that were answered
  int64_t fewest = 0;          // of one connection
  int64_t most = 0;            // of one connection
};

class EchoClient {
 public:
  // Connects to 127.0.0.1:`port`. A connection that fails ends the benchmark.
  EchoClient(uint16_t port, EchoLoad load);
  EchoClient(const EchoClient&) = delete;
  EchoClient& operator=(const EchoClient&) = delete;
  ~EchoClient();

  // When the server has seen the end of every connection.
  EchoWaits Finish();

 private:
  struct Shared;

  Shared* shared_;  // with the process
  pid_t process_;
};

// While it lives, the calling OS thread, and those that it starts, run on the server's processor.
class OnServersProcessor {
 public:
  OnServersProcessor();
  OnServersProcessor(const OnServersProcessor&) = delete;
  OnServersProcessor& operator=(const OnServersProcessor&) = delete;
  ~OnServersProcessor();

 private:
  cpu_set_t before_;
};

// A listener on a free port of 127.0.0.1.
int ListenForEcho(uint16_t& port);

// Accepts `connections` and serves them until all have closed: epoll, level-triggered, one thread, as anybody writes it
// in C.
void ServeEchoPlainly(int listener, int connections);

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_ECHO_H_
