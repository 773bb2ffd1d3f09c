// A client in a process of its own, without Weft: sockets, epoll and one thread. It connects very many times to
// 127.0.0.1:`port`, sends a request on each connection, reads the answer, and ends the connection.
//
//   PlainClient client({.port = port, .connections = 1'000'000, .at_once = 9'000, .request = "x", .answer = "x"});
//   client.Go();
//   ... serve until client.done() is readable ...
//   const ClientReport report = client.Finish();
//
// Make it before the process has a second thread (peer_process.h). Of the connections it opens `at_once` as soon as it
// may, and from then on ends the oldest for each new one. With a pace it opens them in time, and ends each with its
// answer: one that waits long makes no other one late, so that none is missing among those measured.
#ifndef WEFT_TESTS_STRESS_PLAIN_CLIENT_H_
#define WEFT_TESTS_STRESS_PLAIN_CLIENT_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "tests/stress/peer_process.h"

namespace weft::testing {

struct ClientLoad {
  uint16_t port = 0;
  int64_t connections = 1;  // in all
  int at_once = 1;          // open
  std::string request{};
  std::string answer{};
  // Half of the connections end by a reset: a quarter after the answer, and a quarter right behind the request. Of the
  // others every second one finishes its sending half first, and sees the server's end.
  bool resets = false;
  int receive_bytes = 0;  // SO_RCVBUF, and the size of each read: a client that reads slowly; 0: as the kernel chooses
  int64_t pace_micros = 0;  // from one connection's beginning to the next one's; 0: as soon as it may
};

// How the connections ended.
struct ClientReport {
  int64_t answered = 0;  // the answer came, whole
  int64_t reset = 0;     // by the client, before the answer, on purpose
  int64_t refused = 0;   // the server said so: "HTTP/1.1 5.."
  int64_t broken = 0;    // by the server, or another answer
  int64_t most = 0;      // open at once
  int64_t stuck = 0;     // nothing has happened for a minute: the rest

  friend bool operator==(const ClientReport&, const ClientReport&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ClientReport& report);
};

// From the connection's beginning to the last byte of the answer, of those answered.
struct ClientLatency {
  int64_t p99_nanos = 0;
  int64_t longest_nanos = 0;
};

class PlainClient {
 public:
  // Forks. The client waits for Go().
  explicit PlainClient(const ClientLoad& load);

  // Any number of times, after the Finish() of the one before.
  void Go() { process_.Go(); }
  // A descriptor that is readable when the client has done what it was told to, or has ended. It stays this object's.
  int done() const { return process_.done(); }
  // Once for each Go(): waits until the client has done it.
  ClientReport Finish();
  // After Finish().
  ClientLatency latency() const { return shared_->latency; }

 private:
  struct Results {
    ClientReport report;
    ClientLatency latency;
  };

  Shared<Results> shared_;
  PeerProcess process_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_PLAIN_CLIENT_H_
