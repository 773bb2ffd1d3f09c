#include "tests/stress/hostile_peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "tests/stress/peer_socket.h"

namespace weft::testing {
namespace {

constexpr int64_t kTickMillis = 10;  // of each connection
// In each step it is the turn of some of the connections, so that the process has no CPU for long at a time.
constexpr size_t kStepsPerTick = 10;
constexpr std::chrono::microseconds kStep(kTickMillis * 1'000 / kStepsPerTick);
// The queue is full for less than a hundredth of the time. A client that finds it full waits for a second, whatever the
// server does: the kernel drops what it sends, and it tries again, after 1, 3, 7 and 15 s, which is no multiple of
// this.
constexpr size_t kStepsPerStorm = 1'370;
constexpr size_t kStepOfStorm = 300;
constexpr int kSegmentsPerTick = 4;
constexpr int kPipelinedPerTick = 8;
constexpr int kSmallBuffer = 4 * 1024;
constexpr size_t kNoiseBytes = 512;

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
constexpr std::string_view kSlowRequest = "GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
constexpr std::string_view kLargeRequest = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
constexpr std::string_view kPipelined = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kHeaderWithoutEnd = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
constexpr std::string_view kHeadOfBody = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

constexpr int64_t kResetLengths = kSlowRequest.size() + 1;

// What a connection's kind decides at each tick.
enum class Next { kGoOn, kEnd };

// One connection after the other, of one kind.
class HostileConnection {
 public:
  HostileConnection(Hostility kind, int place, const HostileLoad& load, HostileTally& tally)
      : kind_(kind),
        odd_(place % 2 != 0),
        load_(load),
        tally_(tally),
        random_(static_cast<uint32_t>(place)),
        quiet_ticks_(place),
        next_number_(place) {}
  HostileConnection(const HostileConnection&) = delete;
  HostileConnection& operator=(const HostileConnection&) = delete;
  ~HostileConnection() {
    if (fd_ >= 0) ::close(fd_);
  }

  void Tick() {
    if (quiet_ticks_ > 0) {
      --quiet_ticks_;
    } else if (fd_ < 0) {
      Open();
    } else if (TickOf() == Next::kEnd) {
      Close();
    } else if (ticks_ * kTickMillis >= 4 * load_.patience_millis) {
      // The server never had it: the accept queue was full when it was to go there, which only the kernel knows.
      ++tally_.given_up;
      Close();
    }
  }

 private:
  void Open() {
    const bool reads_little = kind_ == Hostility::kSlowReading || kind_ == Hostility::kPipelining;
    number_ = std::exchange(next_number_, next_number_ + load_.connections);
    fd_ = StartConnection(load_.port, number_, reads_little ? kSmallBuffer : 0);
    const int one = 1;
    Require(::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "setsockopt(TCP_NODELAY)");
    ticks_ = 0;
    sent_ = 0;
    send_failed_ = was_reset_ = false;
    got_bytes_ = 0;
    answer_.clear();
    ++tally_.connections;
  }

  void Close() { ::close(std::exchange(fd_, -1)); }

  Next TickOf() {
    ++ticks_;
    switch (kind_) {
      case Hostility::kSlowHeader:
        Send(sent_ == 0 ? kHeaderWithoutEnd : "x");
        return UntilEnded();
      case Hostility::kSlowBody:
        Send(sent_ == 0 ? kHeadOfBody : "x");
        return UntilEnded();
      case Hostility::kSlowReading:
        return ReadSlowly();
      case Hostility::kSilence:
        if (odd_ && sent_ == 0) Send(kRequest.substr(0, kRequest.size() / 2));
        return UntilEnded();
      case Hostility::kResets:
        return SendAndReset();
      case Hostility::kSegments:
        for (int i = 0; i < kSegmentsPerTick && sent_ < kRequest.size(); ++i) Send(kRequest.substr(sent_, 1));
        return UntilEnded();
      case Hostility::kPipelining:
        return Pipeline();
      case Hostility::kNoise:
        return SendNoise();
      case Hostility::kStorm:
        break;
    }
    return Next::kEnd;
  }

  // Of each kind half the connections heed no answer and go on until the server resets them.
  Next UntilEnded() {
    const bool heeds = !odd_ || kind_ == Hostility::kSilence || kind_ == Hostility::kSegments;
    if (!send_failed_ && (Receive() || !heeds)) return Next::kGoOn;
    CountAnswer();
    return Next::kEnd;
  }

  // Not at all, and then all that there is: if the server had not given up, that would be the whole answer.
  Next ReadSlowly() {
    if (sent_ == 0) Send(kLargeRequest);
    if (ticks_ * kTickMillis < load_.patience_millis || Receive()) return Next::kGoOn;
    if (got_bytes_ < load_.large_bytes) ++tally_.cut_off;
    return Next::kEnd;
  }

  Next SendAndReset() {
    if (ticks_ == 1) {
      Send(kSlowRequest.substr(0, static_cast<size_t>(number_ % kResetLengths)));
      if (number_ / kResetLengths % 2 == 0) return Next::kGoOn;  // by the next tick the server has read it
    }
    ResetConnection(std::exchange(fd_, -1));
    ++tally_.reset;
    return Next::kGoOn;
  }

  Next Pipeline() {
    std::string requests;
    for (int i = 0; i < kPipelinedPerTick; ++i) requests += kPipelined;
    Send(std::string_view(requests).substr(sent_ % kPipelined.size()));  // goes on where the last one was cut
    if (!send_failed_) return Next::kGoOn;
    ++tally_.cut_off;
    return Next::kEnd;
  }

  Next SendNoise() {
    // Some begins like a request, or has lines.
    std::string noise(odd_ && sent_ == 0 ? kHeaderWithoutEnd : std::string_view());
    for (size_t i = 0; i < kNoiseBytes; ++i) noise += static_cast<char>(random_() % 256);
    Send(noise);
    return UntilEnded();
  }

  // What does not fit is not sent.
  void Send(std::string_view bytes) {
    if (bytes.empty()) return;
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      sent_ += static_cast<size_t>(sent);
    } else if (errno != EAGAIN) {
      send_failed_ = true;
      was_reset_ |= errno == ECONNRESET;
    }
  }

  // Whether more may come.
  bool Receive() {
    char buffer[16 * 1024];
    for (;;) {
      const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
      was_reset_ |= got < 0 && errno == ECONNRESET;
      if (got <= 0) return got < 0 && errno == EAGAIN;
      got_bytes_ += static_cast<size_t>(got);
      if (answer_.size() < kSmallBuffer) answer_.append(buffer, static_cast<size_t>(got));
    }
  }

  void CountAnswer() {
    Receive();
    const std::string_view line = std::string_view(answer_).substr(0, sizeof("HTTP/1.1 408") - 1);
    if (line == "HTTP/1.1 408") {
      ++tally_.timed_out;
    } else if (kind_ == Hostility::kSegments && !was_reset_) {
      ++(answer_ == load_.answer ? tally_.answered : tally_.wrong);
    } else {
      ++(line.starts_with("HTTP/1.1 4") || line.starts_with("HTTP/1.1 5") ? tally_.refused : tally_.ended);
    }
  }

  const Hostility kind_;
  const bool odd_;
  const HostileLoad& load_;
  HostileTally& tally_;
  std::minstd_rand random_;
  int quiet_ticks_;  // before it begins: they are not to come all at once
  int64_t next_number_;
  int64_t number_ = 0;  // among all connections of the kind
  int fd_ = -1;
  int64_t ticks_ = 0;  // of this connection, as what follows
  size_t sent_ = 0;
  bool send_failed_ = false;
  bool was_reset_ = false;
  size_t got_bytes_ = 0;
  std::string answer_;  // its beginning
};

// Connections that are closed at once, half of them by a reset.
void Storm(const HostileLoad& load, HostileTally& tally) {
  std::vector<int> sockets;
  for (int i = 0; i < load.storm; ++i) sockets.push_back(StartConnection(load.port, ++tally.connections, 0));
  for (const int fd : sockets) {
    tcp_info info = {};
    socklen_t size = sizeof(info);
    Require(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt(TCP_INFO)");
    if (info.tcpi_state == TCP_SYN_SENT) ++tally.kept_out;
    if (fd % 2 == 0) {
      ResetConnection(fd);
    } else {
      ::close(fd);
    }
  }
}

// Those that it has missed it does not make up for.
class Steps {
 public:
  void AwaitNext() {
    next_ = std::max(next_ + kStep, std::chrono::steady_clock::now());
    std::this_thread::sleep_until(next_);
  }

 private:
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now();
};

}  // namespace

const char* NameOf(Hostility kind) {
  constexpr const char* kNames[kHostilities] = {
      "slow headers",       "slow bodies",        "slow reading",      "silence", "resets",
      "segments of a byte", "pipelined requests", "connection storms", "noise"};
  return kNames[static_cast<size_t>(kind)];
}

int64_t ResetsOfEveryLength(int connections) {
  constexpr int64_t kAhead = 8;  // one connection may have made so many more than another
  return 2 * kResetLengths + kAhead * connections;
}

std::ostream& operator<<(std::ostream& out, const HostileTally& tally) {
  out << tally.connections << " connections";
  const std::pair<const std::atomic<int64_t>&, std::string_view> counts[] = {
      {tally.answered, "answered"},   {tally.wrong, "answered wrongly"},
      {tally.timed_out, "timed out"}, {tally.refused, "refused"},
      {tally.ended, "ended"},         {tally.cut_off, "cut off"},
      {tally.reset, "reset"},         {tally.kept_out, "kept out"},
      {tally.given_up, "given up"}};
  for (const auto& [count, name] : counts) {
    if (count != 0) out << ", " << count << " " << name;
  }
  return out;
}

HostilePeer::HostilePeer(const HostileLoad& load) : process_([load, this] { Run(load, *shared_); }) {}

void HostilePeer::Run(const HostileLoad& load, Orders& orders) {
  constexpr size_t kStorm = static_cast<size_t>(Hostility::kStorm);
  std::vector<std::unique_ptr<HostileConnection>> connections;
  for (size_t kind = 0; kind < kHostilities; ++kind) {
    if (!orders.kinds[kind] || kind == kStorm) continue;
    for (int place = 0; place < load.connections; ++place) {
      connections.push_back(
          std::make_unique<HostileConnection>(static_cast<Hostility>(kind), place, load, orders.tallies[kind]));
    }
  }
  Steps steps;
  for (size_t step = 1; !orders.end; ++step) {
    for (size_t i = step % kStepsPerTick; i < connections.size(); i += kStepsPerTick) connections[i]->Tick();
    if (orders.kinds[kStorm] && step % kStepsPerStorm == kStepOfStorm) Storm(load, orders.tallies[kStorm]);
    steps.AwaitNext();
  }
}

void HostilePeer::Begin(const std::vector<Hostility>& kinds) {
  for (size_t i = 0; i < kHostilities; ++i) {
    shared_->kinds[i] = std::find(kinds.begin(), kinds.end(), static_cast<Hostility>(i)) != kinds.end();
  }
  shared_->end = false;
  process_.Go();
}

bool HostilePeer::End() {
  shared_->end = true;
  return process_.Await();
}

}  // namespace weft::testing
