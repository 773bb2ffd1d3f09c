#include "lib/testing/machine/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace weft::internal::machine {
namespace {

constexpr size_t kBufferBytes = size_t{128} << 10;
// Linux's TCP_RTO_MIN, TCP_RTO_MAX, and 1 and net.ipv4.tcp_retries2.
constexpr int64_t kFirstRetryNanos = 200'000'000;
constexpr int64_t kLongestRetryNanos = 120'000'000'000;
constexpr int kMaxTries = 16;

}  // namespace

Connection::Connection(Surroundings& surroundings, bool delayed, const net::SocketAddress& client,
                       const net::SocketAddress& server) noexcept
    : surroundings_(surroundings), delayed_(delayed), client_(*this, client), server_(*this, server) {
  client_.peer_ = &server_;
  server_.peer_ = &client_;
  client_.buffer_bytes_ = server_.buffer_bytes_ = kBufferBytes;
}

Surroundings& ConnectionEnd::surroundings() const noexcept { return connection_.surroundings_; }

std::shared_ptr<Connection> ConnectionEnd::Keep() const { return connection_.shared_from_this(); }

// ---- The socket's calls.

uint32_t ConnectionEnd::Readiness() const noexcept {
  uint32_t ready = 0;
  const bool ended = finished_ || read_shut_ || reset_;
  const bool cannot_write = write_shut_ || reset_;
  if (!received_.empty() || ended) ready |= EPOLLIN;
  if (ended) ready |= EPOLLRDHUP;
  if (cannot_write || Room() > 0) ready |= EPOLLOUT;
  if (ended && cannot_write) ready |= EPOLLHUP;
  if (error_ != 0) ready |= EPOLLERR;
  return ready;
}

bool ConnectionEnd::IsOver() const noexcept {
  return connection_.delayed_ && (reset_ || (finished_ && peer_->finished_));
}

size_t ConnectionEnd::Room() const noexcept {
  const size_t used = peer_->received_.size() + peer_->under_way_bytes_;
  return buffer_bytes_ > used ? buffer_bytes_ - used : 0;
}

int64_t ConnectionEnd::Send(Parts from, Rights rights) {
  if (const int error = TakeError(); error != 0) return -error;
  if (!TakesBytes()) return -EPIPE;
  if (!connection_.delayed_ && (peer_->closed_ || peer_->read_shut_)) return -EPIPE;
  const size_t wanted = BytesOf(from);
  if (wanted == 0) return 0;
  const size_t room = Room();
  wants_room_ = room < wanted;
  if (room == 0) return -EAGAIN;
  Chance& chance = surroundings().chance;
  const size_t bytes = chance.Part(std::min(wanted, room));
  std::string data = Gather(from, bytes);
  // TCP may send it in two pieces.
  const size_t first = connection_.delayed_ ? chance.Part(bytes) : bytes;
  Segment rest;
  rest.data = data.substr(first);
  data.resize(first);
  peer_->Expect({.kind = Segment::Kind::kBytes, .data = std::move(data), .rights = std::move(rights)});
  if (!rest.data.empty()) peer_->Expect(std::move(rest));
  return static_cast<int64_t>(bytes);
}

int64_t ConnectionEnd::Receive(Parts into, bool peek, Rights& rights) {
  const size_t wanted = BytesOf(into);
  if (received_.empty()) {
    // TCP's end of input stays one, whatever comes after it; the error is for a sender.
    if (finished_ && connection_.delayed_) return 0;
    if (const int error = TakeError(); error != 0) return -error;
    return finished_ || read_shut_ || reset_ || wanted == 0 ? 0 : -EAGAIN;
  }
  if (wanted == 0) return 0;
  // What TCP has it gives: a receive that is short has emptied it, and programs may rely on that.
  const size_t there = std::min(wanted, received_.size());
  const size_t bytes = connection_.delayed_ ? there : surroundings().chance.Part(there);
  const std::string data = peek ? received_.Peek(bytes) : received_.Pop(bytes, rights);
  if (!peek && std::exchange(peer_->wants_room_, false)) peer_->Expect({.kind = Segment::Kind::kRoom});
  return static_cast<int64_t>(Scatter(data.data(), data.size(), into));
}

int ConnectionEnd::TakeError() noexcept { return std::exchange(error_, 0); }

void ConnectionEnd::ShutDown(int how) {
  if ((how == SHUT_WR || how == SHUT_RDWR) && !std::exchange(write_shut_, true) && !reset_) {
    peer_->Expect({.kind = Segment::Kind::kFinish});
  }
  if (how == SHUT_RD || how == SHUT_RDWR) {
    read_shut_ = true;
    if (!connection_.delayed_) {  // a Unix socket's peer cannot write any more
      peer_->write_shut_ = true;
      peer_->Tell(peer_->Readiness());
    }
  }
  Tell(Readiness());
}

void ConnectionEnd::Close(bool abort) {
  owner_ = nullptr;
  closed_ = true;
  const ByteQueue unread = std::exchange(received_, {});  // and with it the descriptors that nobody has taken out
  if (reset_) return;
  if (abort || !unread.empty()) {
    peer_->Expect({.kind = Segment::Kind::kReset});
    reset_ = true;
  } else if (!std::exchange(write_shut_, true)) {
    peer_->Expect({.kind = Segment::Kind::kFinish});
  }
  if (!connection_.delayed_ && !peer_->reset_) {
    peer_->write_shut_ = true;
    peer_->Tell(peer_->Readiness());
  }
}

void ConnectionEnd::Break() {
  peer_->BecomeReset(ECONNRESET);
  BecomeReset(ECONNRESET);
}

void ConnectionEnd::Tell(uint32_t ready) {
  if (owner_ != nullptr) owner_->OnChange(ready);
}

// ---- What comes from the other end.

void ConnectionEnd::Expect(Segment segment) {
  if (!connection_.delayed_) return Arrive(std::move(segment));
  Wire& wire = surroundings().wire;
  segment.arrives_ns = wire.NowNanos() + surroundings().chance.Delay();
  under_way_bytes_ += segment.data.size();
  under_way_.push_back(std::move(segment));
  if (under_way_.size() > 1) return;  // behind those before it
  wire.At(under_way_.front().arrives_ns, [this, kept = Keep()] { ArriveFirst(); });
}

void ConnectionEnd::ArriveFirst() {
  Wire& wire = surroundings().wire;
  const int64_t now_ns = wire.NowNanos();
  if (tries_ == kMaxTries) return GiveUp();
  if (surroundings().routes.Reaches(local_, peer_->local_)) {
    tries_ = 0;
    keep_alive_.HeardAt(now_ns);
    peer_->keep_alive_.HeardAt(now_ns);
    Segment first = std::move(under_way_.front());
    under_way_.pop_front();
    under_way_bytes_ -= first.data.size();
    Arrive(std::move(first));
  } else {
    under_way_.front().arrives_ns = now_ns + std::min(kFirstRetryNanos << tries_++, kLongestRetryNanos);
  }
  if (under_way_.empty()) return;
  wire.At(std::max(now_ns, under_way_.front().arrives_ns), [this, kept = Keep()] { ArriveFirst(); });
}

void ConnectionEnd::Arrive(Segment segment) {
  if (reset_) {
    if (segment.kind == Segment::Kind::kBytes) peer_->Expect({.kind = Segment::Kind::kReset});
    return;
  }
  switch (segment.kind) {
    case Segment::Kind::kBytes:
      if (closed_ || (read_shut_ && (write_shut_ || !connection_.delayed_))) {
        // Nobody is here.
        reset_ = true;
        Tell(Readiness());
        return peer_->Expect({.kind = Segment::Kind::kReset});
      }
      received_.Push(std::move(segment.data), std::move(segment.rights));
      return Tell(EPOLLIN);
    case Segment::Kind::kFinish:
      finished_ = true;
      return Tell(Readiness());
    case Segment::Kind::kReset:
      return BecomeReset(finished_ && connection_.delayed_ ? EPIPE : ECONNRESET);
    case Segment::Kind::kRoom:
      return Tell(EPOLLOUT);
  }
}

void ConnectionEnd::BecomeReset(int error) {
  if (std::exchange(reset_, true)) return;
  error_ = error;
  Tell(Readiness());
}

// The sender, which has heard nothing from here for too long.
void ConnectionEnd::GiveUp() {
  under_way_.clear();
  under_way_bytes_ = 0;
  tries_ = 0;
  peer_->BecomeReset(ETIMEDOUT);
}

}  // namespace weft::internal::machine
