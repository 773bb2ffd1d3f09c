#include "tests/stress/plain_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <string_view>
#include <vector>

#include "tests/stress/peer_socket.h"

namespace weft::testing {
namespace {

using Time = std::chrono::steady_clock;

// So many connections wait for their answers, fewer than a backlog has places: the kernel would have the others try
// again after a second.
constexpr size_t kMostUnanswered = 1'000;
constexpr int kMaxEvents = 1'024;
constexpr int kPatienceMillis = 100'000;
constexpr size_t kReadBytes = 64 * 1024;

enum class Ending { kClose, kFinishFirst, kResetAnswered, kResetAtOnce };

struct Connection {
  int fd = -1;
  Time::time_point begun{};
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
    latencies_.reserve(static_cast<size_t>(load.connections));
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(epoll_); }

  void Run() {
    std::vector<epoll_event> events(kMaxEvents);
    due_ = progress_ = Time::now();
    while (ended_ < load_.connections) {
      while (begun_ < load_.connections && unanswered_ < kMostUnanswered && UntilDue() <= Time::duration(0) &&
             MakeRoom()) {
        Open();
      }
      if (begun_ == load_.connections && unanswered_ == 0) {
        while (!answered_.empty()) EndOldest();
        continue;
      }
      const int count = ::epoll_wait(epoll_, events.data(), kMaxEvents, WaitMillis());
      if (count < 0 && errno != EINTR) Require(count, "epoll_wait");
      if (count > 0) progress_ = Time::now();
      if (count == 0 && Time::now() - progress_ >= std::chrono::milliseconds(kPatienceMillis)) {
        report_.stuck = load_.connections - ended_;
        return;
      }
      for (int i = 0; i < count; ++i) Serve(events[static_cast<size_t>(i)].data.u64);
    }
  }

  ClientLatency Latency() {
    if (latencies_.empty()) return {};
    std::sort(latencies_.begin(), latencies_.end());
    return {.p99_nanos = latencies_[latencies_.size() * 99 / 100],
            .longest_nanos = latencies_.back()};
  }

 private:
  // Whether there is a place for one more, perhaps that of the oldest that has its answer.
  bool MakeRoom() {
    if (free_.empty() && !answered_.empty()) EndOldest();
    return !free_.empty();
  }

  // Until the next connection may begin.
  Time::duration UntilDue() const { return load_.pace_micros == 0 ? Time::duration(0) : due_ - Time::now(); }

  // Of what it has missed because it had no CPU, it makes up for little: a heap of connections would be a storm.
  void SetNextDue() {
    constexpr int kMostMissed = 10;
    const std::chrono::microseconds pace(load_.pace_micros);
    due_ = std::max(due_ + pace, Time::now() - kMostMissed * pace);
  }

  int WaitMillis() const {
    if (load_.pace_micros == 0 || begun_ == load_.connections || free_.empty()) return kPatienceMillis;
    const auto due = std::chrono::ceil<std::chrono::milliseconds>(UntilDue()).count();
    return static_cast<int>(std::clamp<int64_t>(due, 0, kPatienceMillis));
  }

  void Open() {
    const size_t place = free_.back();
    free_.pop_back();
    Connection& connection = connections_[place];
    connection = {};
    connection.ending = load_.resets ? static_cast<Ending>(begun_ % 4) : Ending::kClose;
    connection.begun = Time::now();
    connection.fd = StartConnection(load_.port, begun_, load_.receive_bytes);
    ++begun_;
    ++unanswered_;
    SetNextDue();
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
      latencies_.push_back(std::chrono::nanoseconds(Time::now() - connection.begun).count());
      answered_.push_back(place);
      if (load_.pace_micros > 0) EndOldest();
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
      ResetConnection(connection.fd);
    } else {
      Require(::close(connection.fd), "close");
    }
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
  std::vector<size_t> free_;        // places in connections_
  std::deque<size_t> answered_;     // the same, the oldest first
  std::vector<int64_t> latencies_;  // nanoseconds
  Time::time_point due_{};       // the next connection, with a pace
  Time::time_point progress_{};  // when something last happened
  size_t unanswered_ = 0;
  int64_t begun_ = 0;
  int64_t ended_ = 0;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const ClientReport& report) {
  return out << report.answered << " answered, " << report.reset << " reset, " << report.refused << " refused, "
             << report.broken << " broken, " << report.stuck << " stuck, " << report.most << " at once";
}

PlainClient::PlainClient(const ClientLoad& load)
    : process_([load, this] {
        shared_->report = {};
        Client client(load, shared_->report);
        client.Run();
        shared_->latency = client.Latency();
      }) {}

ClientReport PlainClient::Finish() {
  const bool done = process_.Await();
  ClientReport report = shared_->report;
  if (!done && report.stuck == 0) report.stuck = 1;
  return report;
}

}  // namespace weft::testing
