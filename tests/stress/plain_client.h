// A client in a process of its own, without Weft: sockets, epoll and one thread. It connects very many times to
// 127.0.0.1:`port`, sends a request on each connection, reads the answer, and ends the connection.
//
//   PlainClient client({.port = port, .connections = 1'000'000, .at_once = 9'000, .request = "x", .answer = "x"});
//   client.Go();
//   ... serve until client.ended() is readable ...
//   const ClientReport report = client.Finish();
//
// Make it before the process has a second thread, and before the process limits itself: the client inherits what there
// is. It comes from 200 addresses of 127/8, because one address has only 28,000 ports for a server. Of the connections
// it opens `at_once` as soon as it may, and from then on ends the oldest for each new one.
#ifndef WEFT_TESTS_STRESS_PLAIN_CLIENT_H_
#define WEFT_TESTS_STRESS_PLAIN_CLIENT_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>

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

class PlainClient {
 public:
  // Forks. The client waits for Go().
  explicit PlainClient(const ClientLoad& load);
  PlainClient(const PlainClient&) = delete;
  PlainClient& operator=(const PlainClient&) = delete;
  ~PlainClient();

  void Go();
  // A descriptor that is readable, at its end, when the client has ended. It stays this object's.
  int ended() const { return ended_; }
  // Once, after Go(): waits for the client's end.
  ClientReport Finish();

 private:
  pid_t process_ = -1;
  int go_ = -1;
  int ended_ = -1;
  ClientReport* report_ = nullptr;  // shared with the process
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_PLAIN_CLIENT_H_
