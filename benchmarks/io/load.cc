// The client of the echo servers: keeps connections, and on each sends the next 64 bytes as soon as the last have come
// back. One thread and epoll, so the same load for every server, and no more work for a request than a plain server
// has. What comes back is compared.
//
//   load PORT CONNECTIONS WARM_UP_MILLIS MILLIS SERVER_PID
//
// It prints one line of JSON, of the time after the warm-up:
//
//   {"operations":80123,"seconds":2.0,"server_cpu_seconds":1.9,"client_cpu_seconds":1.8,"unserved":0}
//
// `unserved` counts the connections that had no answer in that time. The processor time of the server is that of all
// its threads, by the kernel's clock of that process, which has nanoseconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"

namespace weft::benchmarks {
namespace {

constexpr size_t kMessageBytes = 64;
constexpr int kMaxEvents = 1024;
constexpr int kMostOfOneAddress = 4'096;  // an address has 28,000 ports for a server, of which others use some
constexpr int kPatienceMillis = 10'000;   // without any answer: then the server is dead

int Require(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::exit(EXIT_FAILURE);
}

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(EXIT_FAILURE);
}

double SecondsOf(clockid_t clock) {
  timespec time = {};
  Require(clock_gettime(clock, &time), "clock_gettime");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Options {
  uint16_t port = 0;
  int connections = 0;
  int warm_up_millis = 0;
  int millis = 0;
  pid_t server = 0;
};

class Connection {
 public:
  Connection(const Options& options, uint64_t number) : number_(number) {
    fd_ = Require(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    BindToOneOfMany();
    const sockaddr_in server = Address(INADDR_LOOPBACK, options.port);
    Require(connect(fd_, reinterpret_cast<const sockaddr*>(&server), sizeof(server)), "connect");
    const int one = 1;
    Require(setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "setsockopt(TCP_NODELAY)");
  }
  Connection(Connection&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), number_(other.number_), sequence_(other.sequence_) {}
  Connection& operator=(Connection&&) = delete;
  // By a reset: nothing is left in the kernel that would stand in the way of the next server's clients.
  ~Connection() {
    if (fd_ < 0) return;
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd_);
  }

  int fd() const { return fd_; }

  void SendNext() {
    ++sequence_;
    received_ = 0;
    char message[kMessageBytes];
    Write(message);
    // It fits: there is never more than one message on the way.
    if (send(fd_, message, kMessageBytes, MSG_NOSIGNAL) != static_cast<ssize_t>(kMessageBytes)) Require(-1, "send");
  }

  // Whether all of the answer is there. With MSG_DONTWAIT it does not wait for more.
  bool Receive(int flags) {
    const ssize_t got = recv(fd_, answer_ + received_, kMessageBytes - received_, flags);
    if (got == 0) Fail("the server has closed a connection");
    if (got < 0 && errno == EAGAIN) return false;
    if (got < 0) Require(-1, "recv");
    received_ += static_cast<size_t>(got);
    if (received_ < kMessageBytes) return false;
    char message[kMessageBytes];
    Write(message);
    if (std::memcmp(message, answer_, kMessageBytes) != 0) Fail("what came back is not what was sent");
    return true;
  }

  int64_t answers = 0;  // since the warm-up

 private:
  static sockaddr_in Address(in_addr_t address, uint16_t port) {
    sockaddr_in result = {};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    result.sin_addr.s_addr = htonl(address);
    return result;
  }

  // The kernel chooses the port when it connects, and only then knows how many are free.
  void BindToOneOfMany() const {
    const int one = 1;
    Require(setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)), "setsockopt");
    const sockaddr_in source = Address(INADDR_LOOPBACK + static_cast<in_addr_t>(number_ / kMostOfOneAddress), 0);
    Require(bind(fd_, reinterpret_cast<const sockaddr*>(&source), sizeof(source)), "bind");
  }

  // Different for each connection, and each time.
  void Write(char* message) const {
    for (size_t at = 0; at < kMessageBytes; at += 2 * sizeof(uint64_t)) {
      std::memcpy(message + at, &number_, sizeof(number_));
      std::memcpy(message + at + sizeof(number_), &sequence_, sizeof(sequence_));
    }
  }

  int fd_ = -1;
  uint64_t number_;
  uint64_t sequence_ = 0;
  size_t received_ = 0;
  char answer_[kMessageBytes];
};

// What all have done so far.
struct Totals {
  explicit Totals(clockid_t server_clock)
      : at(SecondsOf(CLOCK_MONOTONIC)), server(SecondsOf(server_clock)), client(SecondsOf(CLOCK_PROCESS_CPUTIME_ID)) {}

  double at;
  double server;
  double client;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), events_(kMaxEvents) {
    if (clock_getcpuclockid(options.server, &server_clock_) != 0) Fail("there is no process of that number");
    epoll_ = Require(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    connections_.reserve(static_cast<size_t>(options.connections));
    for (int i = 0; i < options.connections; ++i) Connect(static_cast<uint32_t>(i));
  }

  void Run() {
    for (Connection& connection : connections_) connection.SendNext();
    RunFor(options_.warm_up_millis);
    for (Connection& connection : connections_) connection.answers = 0;
    const Totals begin(server_clock_);
    RunFor(options_.millis);
    const Totals end(server_clock_);
    int64_t operations = 0;
    int64_t unserved = 0;
    for (const Connection& connection : connections_) {
      operations += connection.answers;
      unserved += connection.answers == 0 ? 1 : 0;
    }
    std::printf("{\"operations\":%lld,\"seconds\":%.6f,\"server_cpu_seconds\":%.6f,\"client_cpu_seconds\":%.6f,"
                "\"unserved\":%lld}\n",
                static_cast<long long>(operations), end.at - begin.at, end.server - begin.server,
                end.client - begin.client, static_cast<long long>(unserved));
  }

 private:
  // After the first answer, so that the server has accepted it before the next one comes.
  void Connect(uint32_t number) {
    Connection& connection = connections_.emplace_back(options_, number);
    connection.SendNext();
    while (!connection.Receive(0)) {
    }
    // Edge-triggered: an answer is read whole, or there is another event for its rest.
    epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u32 = number}};
    Require(epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd(), &event), "epoll_ctl");
  }

  void RunFor(int millis) {
    const double end = SecondsOf(CLOCK_MONOTONIC) + millis * 1e-3;
    while (SecondsOf(CLOCK_MONOTONIC) < end) {
      const int count = epoll_wait(epoll_, events_.data(), kMaxEvents, kPatienceMillis);
      if (count < 0 && errno != EINTR) Require(count, "epoll_wait");
      if (count == 0) Fail("the server answers nobody");
      for (int i = 0; i < count; ++i) {
        Connection& connection = connections_[events_[static_cast<size_t>(i)].data.u32];
        if (!connection.Receive(MSG_DONTWAIT)) continue;
        ++connection.answers;
        connection.SendNext();
      }
    }
  }

  const Options options_;
  clockid_t server_clock_ = 0;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<epoll_event> events_;
};

int Main(int argc, char** argv) {
  Options options;
  int port = 0;
  if (argc != 6 || !absl::SimpleAtoi(argv[1], &port) || !absl::SimpleAtoi(argv[2], &options.connections) ||
      !absl::SimpleAtoi(argv[3], &options.warm_up_millis) || !absl::SimpleAtoi(argv[4], &options.millis) ||
      !absl::SimpleAtoi(argv[5], &options.server)) {
    std::fprintf(stderr, "usage: %s PORT CONNECTIONS WARM_UP_MILLIS MILLIS SERVER_PID\n", argv[0]);
    return 2;
  }
  options.port = static_cast<uint16_t>(port);
  Load(options).Run();
  return 0;
}

}  // namespace
}  // namespace weft::benchmarks

int main(int argc, char** argv) { return weft::benchmarks::Main(argc, argv); }
