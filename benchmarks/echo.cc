#include "benchmarks/echo.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "benchmarks/measure.h"
#include "weft/internal/atomic.h"

namespace weft::benchmarks {
namespace {

// What one call fetches: enough for every connection, as a server that means to be fair would ask for.
constexpr int kMaxEvents = 1024;
// So long the client waits for those that nobody has answered when its time is up; then they starve.
constexpr int64_t kStarvationNanos = 10'000'000'000;

int Require(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::_Exit(EXIT_FAILURE);
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void SendAtOnce(int fd) {
  const int one = 1;
  Require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "setsockopt(TCP_NODELAY)");
}

void Watch(int epoll, int fd, uint32_t number) {
  epoll_event event = {.events = EPOLLIN, .data = {.u32 = number}};
  Require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

// The first processor that this process may use is the server's, the last one the client's.
cpu_set_t ProcessorOf(bool server) {
  cpu_set_t all;
  Require(sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity");
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &all)) continue;
    if (server && CPU_COUNT(&one) > 0) break;
    CPU_ZERO(&one);
    CPU_SET(i, &one);
  }
  return one;
}

struct Connection {
  int fd;
  size_t to_come;  // of the answer
  int64_t sent_at;
  int64_t first;
  int64_t longest;
  int64_t answered;
};

char message[kEchoBytes];

void SendNext(Connection& connection) {
  connection.to_come = kEchoBytes;
  connection.sent_at = Now();
  // It fits: there is never more than one message on the way.
  if (send(connection.fd, message, kEchoBytes, MSG_NOSIGNAL) != static_cast<ssize_t>(kEchoBytes)) Require(-1, "send");
}

// Whether the answer is there.
bool Receive(Connection& connection) {
  char buffer[kEchoBytes];
  const ssize_t got = recv(connection.fd, buffer, connection.to_come, 0);
  if (got <= 0) Require(-1, "recv");
  connection.to_come -= static_cast<size_t>(got);
  return connection.to_come == 0;
}

void CountWait(Connection& connection, int64_t now) {
  int64_t& longest = connection.answered == 0 ? connection.first : connection.longest;
  longest = std::max(longest, now - connection.sent_at);
}

// In the client's process, which was forked beside other threads: system calls, and memory that was made before.
void RunClient(uint16_t port, EchoLoad load, internal::Atomic<bool>& connected, Connection* connections) {
  const cpu_set_t processor = ProcessorOf(/*server=*/false);
  Require(sched_setaffinity(0, sizeof(processor), &processor), "sched_setaffinity");
  const int epoll = Require(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  const sockaddr_in address = Loopback(port);
  for (int i = 0; i < load.connections; ++i) {
    Connection& connection = connections[i];
    connection.fd = Require(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    Require(connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "connect");
    SendAtOnce(connection.fd);
    SendNext(connection);
    Watch(epoll, connection.fd, static_cast<uint32_t>(i));
  }
  connected.store(true, std::memory_order_relaxed);  // says only when
  const int64_t end = Now() + load.nanos;
  int unanswered = load.connections;
  static epoll_event events[kMaxEvents];
  for (int64_t now = Now(); now < (unanswered > 0 ? end + kStarvationNanos : end); now = Now()) {
    const int count = epoll_wait(epoll, events, kMaxEvents, 10);
    if (count < 0 && errno != EINTR) Require(count, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      Connection& connection = connections[events[i].data.u32];
      if (!Receive(connection)) continue;
      if (now >= end && connection.answered > 0) continue;
      CountWait(connection, Now());
      if (connection.answered++ == 0) --unanswered;
      SendNext(connection);
    }
  }
  // Those that were not served at all have waited the longest.
  for (int i = 0; i < load.connections; ++i) CountWait(connections[i], Now());
}

}  // namespace

struct EchoClient::Shared {
  EchoLoad load;
  size_t size;
  internal::Atomic<bool> connected;
  Connection connections[1];  // load.connections of them
};

EchoClient::EchoClient(uint16_t port, EchoLoad load) {
  const size_t size = sizeof(Shared) + load.connections * sizeof(Connection);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Require(-1, "mmap");
  shared_ = static_cast<Shared*>(memory);
  shared_->load = load;
  shared_->size = size;
  process_ = Require(fork(), "fork");
  if (process_ == 0) {
    RunClient(port, load, shared_->connected, shared_->connections);
    std::_Exit(EXIT_SUCCESS);
  }
  while (!shared_->connected.load(std::memory_order_relaxed)) sched_yield();
}

EchoClient::~EchoClient() { munmap(shared_, shared_->size); }

EchoWaits EchoClient::Finish() {
  int status = 0;
  Require(waitpid(process_, &status, 0), "waitpid");
  if (status != 0) {
    std::fprintf(stderr, "the client has failed\n");
    std::_Exit(EXIT_FAILURE);
  }
  EchoWaits waits{.fewest = INT64_MAX};
  std::vector<double> longest;
  for (int i = 0; i < shared_->load.connections; ++i) {
    const Connection& each = shared_->connections[i];
    longest.push_back(static_cast<double>(each.longest));
    waits.first = std::max(waits.first, each.first);
    waits.longest = std::max(waits.longest, each.longest);
    waits.requests += each.answered;
    waits.fewest = std::min(waits.fewest, each.answered);
    waits.most = std::max(waits.most, each.answered);
  }
  waits.median_longest = static_cast<int64_t>(MedianOf(std::move(longest)));
  return waits;
}

OnServersProcessor::OnServersProcessor() {
  Require(sched_getaffinity(0, sizeof(before_), &before_), "sched_getaffinity");
  const cpu_set_t processor = ProcessorOf(/*server=*/true);
  Require(sched_setaffinity(0, sizeof(processor), &processor), "sched_setaffinity");
}

OnServersProcessor::~OnServersProcessor() {
  Require(sched_setaffinity(0, sizeof(before_), &before_), "sched_setaffinity");
}

int ListenForEcho(uint16_t& port) {
  const int listener = Require(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address = Loopback(0);
  Require(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind");
  Require(listen(listener, SOMAXCONN), "listen");
  socklen_t size = sizeof(address);
  Require(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port = ntohs(address.sin_port);
  return listener;
}

void ServeEchoPlainly(int listener, int connections) {
  const int epoll = Require(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  Watch(epoll, listener, static_cast<uint32_t>(listener));
  std::vector<epoll_event> events(kMaxEvents);
  for (int to_close = connections; to_close > 0;) {
    const int count = epoll_wait(epoll, events.data(), kMaxEvents, -1);
    if (count < 0 && errno != EINTR) Require(count, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = static_cast<int>(events[i].data.u32);
      if (fd == listener) {
        for (;;) {
          const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
          if (accepted < 0 && errno == EAGAIN) break;
          Require(accepted, "accept4");
          SendAtOnce(accepted);
          Watch(epoll, accepted, static_cast<uint32_t>(accepted));
        }
        continue;
      }
      char buffer[kEchoBytes];
      const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
      if (got > 0) {
        if (send(fd, buffer, static_cast<size_t>(got), MSG_NOSIGNAL) != got) Require(-1, "send");
      } else {
        close(fd);
        --to_close;
      }
    }
  }
  close(epoll);
}

}  // namespace weft::benchmarks
