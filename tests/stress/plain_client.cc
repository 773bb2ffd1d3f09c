#include "tests/stress/plain_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::testing {
namespace {

constexpr int kAddresses = 200;
// So many connections wait for their answers, fewer than a backlog has places: the kernel would have the others try
// again after a second.
constexpr size_t kMostUnanswered = 1'000;
constexpr int kMaxEvents = 1'024;
constexpr int kPatienceMillis = 60'000;
constexpr size_t kReadBytes = 64 * 1024;

int Require(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  ::_exit(EXIT_FAILURE);
}

sockaddr_in Address(in_addr_t address, uint16_t port) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  result.sin_addr.s_addr = htonl(address);
  return result;
}

enum class Ending { kClose, kFinishFirst, kResetAnswered, kResetAtOnce };

struct Connection {
  int fd = -1;
  Ending ending = Ending::kClose;
  std::string received;
  bool sent = false;
  bool finished = false;  // our half
};

class Client {
 public:
  Client(const ClientLoad& load, ClientReport& report)
      : load_(load), report_(report), buffer_(load.receive_bytes > 0 ? load.receive_bytes : kReadBytes) {
    epoll_ = Require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    connections_.resize(static_cast<size_t>(load.at_once));
    for (size_t i = connections_.size(); i > 0; --i) free_.push_back(i - 1);
  }

  void Run() {
    std::vector<epoll_event> events(kMaxEvents);
    while (ended_ < load_.connections) {
      while (begun_ < load_.connections && unanswered_ < kMostUnanswered && MakeRoom()) Open();
      if (begun_ == load_.connections && unanswered_ == 0) {
        while (!answered_.empty()) EndOldest();
        continue;
      }
      const int count = ::epoll_wait(epoll_, events.data(), kMaxEvents, kPatienceMillis);
      if (count < 0 && errno != EINTR) Require(count, "epoll_wait");
      if (count == 0) {
        report_.stuck = load_.connections - ended_;
        return;
      }
      for (int i = 0; i < count; ++i) Serve(events[static_cast<size_t>(i)].data.u64);
    }
  }

 private:
  // Whether there is a place for one more, perhaps that of the oldest that has its answer.
  bool MakeRoom() {
    if (free_.empty() && !answered_.empty()) EndOldest();
    return !free_.empty();
  }

  void Open() {
    const size_t place = free_.back();
    free_.pop_back();
    Connection& connection = connections_[place];
    connection = {};
    connection.ending = load_.resets ? static_cast<Ending>(begun_ % 4) : Ending::kClose;
    connection.fd = Require(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    // The kernel chooses the port when it connects, and only then knows how many are free.
    const int one = 1;
    Require(::setsockopt(connection.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)), "setsockopt");
    if (load_.receive_bytes > 0) {
      Require(::setsockopt(connection.fd, SOL_SOCKET, SO_RCVBUF, &load_.receive_bytes, sizeof(load_.receive_bytes)),
              "setsockopt(SO_RCVBUF)");
    }
    const sockaddr_in source = Address(INADDR_LOOPBACK + 1 + static_cast<in_addr_t>(begun_ % kAddresses), 0);
    Require(::bind(connection.fd, reinterpret_cast<const sockaddr*>(&source), sizeof(source)), "bind");
    const sockaddr_in server = Address(INADDR_LOOPBACK, load_.port);
    if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&server), sizeof(server)) != 0 &&
        errno != EINPROGRESS) {
      Require(-1, "connect");
    }
    ++begun_;
    ++unanswered_;
    report_.most = std::max(report_.most, static_cast<int64_t>(connections_.size() - free_.size()));
    epoll_event event = {.events = EPOLLOUT, .data = {.u64 = place}};
    Require(::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event), "epoll_ctl");
  }

  void Serve(size_t place) {
    Connection& connection = connections_[place];
    if (!connection.sent) {
      Send(place);
    } else {
      Receive(place);
    }
  }

  void Send(size_t place) {
    Connection& connection = connections_[place];
    // It fits: nothing was sent before.
    const ssize_t sent = ::send(connection.fd, load_.request.data(), load_.request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(load_.request.size())) return EndUnanswered(place, report_.broken);
    connection.sent = true;
    if (connection.ending == Ending::kResetAtOnce) return EndUnanswered(place, report_.reset);
    epoll_event event = {.events = EPOLLIN, .data = {.u64 = place}};
    Require(::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event), "epoll_ctl");
    if (connection.ending == Ending::kFinishFirst) Finish(connection);
  }

  static void Finish(Connection& connection) {
    Require(::shutdown(connection.fd, SHUT_WR), "shutdown");
    connection.finished = true;
  }

  void Receive(size_t place) {
    Connection& connection = connections_[place];
    const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) connection.received.append(buffer_.data(), static_cast<size_t>(got));
    if (connection.received.size() < load_.answer.size() && got > 0) return;
    // One that has finished waits for the server's end behind the answer.
    if (connection.finished && got > 0) return;
    if (connection.received == load_.answer && got >= 0) {
      --unanswered_;
      Require(::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd, nullptr), "epoll_ctl");
      answered_.push_back(place);
      return;
    }
    constexpr std::string_view kRefusal = "HTTP/1.1 5";
    const bool refused = got >= 0 && connection.received.compare(0, kRefusal.size(), kRefusal) == 0;
    if (!refused && report_.broken == 0) {
      std::fprintf(stderr, "client: the first broken connection: errno %d, %zu bytes: %.200s\n", got < 0 ? errno : 0,
                   connection.received.size(), connection.received.c_str());
    }
    EndUnanswered(place, refused ? report_.refused : report_.broken);
  }

  void EndOldest() {
    const size_t place = answered_.front();
    answered_.pop_front();
    End(place, report_.answered);
  }

  void EndUnanswered(size_t place, int64_t& count) {
    --unanswered_;
    End(place, count);
  }

  void End(size_t place, int64_t& count) {
    Connection& connection = connections_[place];
    if (connection.ending == Ending::kResetAnswered || connection.ending == Ending::kResetAtOnce) {
      const linger at_once = {.l_onoff = 1, .l_linger = 0};
      Require(::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "setsockopt(SO_LINGER)");
    }
    Require(::close(connection.fd), "close");
    connection = {};
    free_.push_back(place);
    ++ended_;
    ++count;
  }

  const ClientLoad& load_;
  ClientReport& report_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<size_t> free_;     // places in connections_
  std::deque<size_t> answered_;  // the same, the oldest first
  size_t unanswered_ = 0;
  int64_t begun_ = 0;
  int64_t ended_ = 0;
};

[[noreturn]] void RunClient(const ClientLoad& load, int go, pid_t parent, ClientReport& report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(EXIT_FAILURE);
  char byte;
  if (::read(go, &byte, 1) != 1) ::_exit(EXIT_FAILURE);
  Client(load, report).Run();
  ::_exit(EXIT_SUCCESS);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const ClientReport& report) {
  return out << report.answered << " answered, " << report.reset << " reset, " << report.refused << " refused, "
             << report.broken << " broken, " << report.stuck << " stuck, " << report.most << " at once";
}

PlainClient::PlainClient(const ClientLoad& load) {
  void* const memory =
      ::mmap(nullptr, sizeof(ClientReport), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Require(-1, "mmap");
  report_ = new (memory) ClientReport();
  int go[2];
  int ended[2];
  Require(::pipe2(go, O_CLOEXEC), "pipe2");
  Require(::pipe2(ended, O_CLOEXEC), "pipe2");
  const pid_t parent = ::getpid();
  process_ = Require(::fork(), "fork");
  if (process_ == 0) {
    // What belongs to the parent: its listener would outlive it here, and its end of a pipe would hide its end.
    Require(::dup2(go[0], 3), "dup2");
    Require(::dup2(ended[1], 4), "dup2");
    Require(::close_range(5, ~0U, 0), "close_range");
    RunClient(load, 3, parent, *report_);
  }
  ::close(go[0]);
  ::close(ended[1]);
  go_ = go[1];
  ended_ = ended[0];
}

PlainClient::~PlainClient() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    Finish();
  }
  ::close(go_);
  ::close(ended_);
  ::munmap(report_, sizeof(ClientReport));
}

void PlainClient::Go() {
  if (::write(go_, "g", 1) != 1) Require(-1, "write");
}

ClientReport PlainClient::Finish() {
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  ClientReport report = *report_;
  if (status != 0 && report.stuck == 0) report.stuck = 1;
  return report;
}

}  // namespace weft::testing
