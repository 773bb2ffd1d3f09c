#include "lib/testing/machine/tcp_dial.h"

#include <sys/socket.h>

#include <cerrno>

#include "lib/testing/machine/stream_socket.h"

namespace weft::internal::machine {
namespace {

// 1 and Linux's net.ipv4.tcp_syn_retries, and its first timeout.
constexpr int kMaxKnocks = 7;
constexpr int64_t kFirstKnockNanos = 1'000'000'000;
constexpr int kFaults[] = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH};

}  // namespace

void TcpDial::Begin() {
  Chance& chance = network_.surroundings().chance;
  if (const int fault = chance.Fault(kFaults); fault != 0) return AnswerAfterDelay(fault, {});
  KnockAfter(chance.Delay());
}

void TcpDial::KnockAfter(int64_t delay_ns) {
  Wire& wire = network_.surroundings().wire;
  wire.At(wire.NowNanos() + delay_ns, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Knock();
  });
}

// At the server's host; or the end of waiting for an answer to the last knock.
void TcpDial::Knock() {
  Surroundings& surroundings = network_.surroundings();
  if (knocks_++ == kMaxKnocks) return answered_(ETIMEDOUT, {});
  if (!surroundings.routes.Reaches(from_, to_)) return KnockAgain();
  const auto listener = StreamSocket::FindListener(network_, to_);
  if (listener == nullptr) return AnswerAfterDelay(ECONNREFUSED, {});
  if (!listener->HasRoom()) return KnockAgain();
  const auto connection = Connection::Make(surroundings, /*delayed=*/true, from_, to_);
  listener->Welcome({connection, &connection->server()});
  AnswerAfterDelay(0, {connection, &connection->client()});
}

void TcpDial::KnockAgain() { KnockAfter(kFirstKnockNanos << (knocks_ - 1)); }

void TcpDial::AnswerAfterDelay(int error, ConnectionPlace place) {
  Surroundings& surroundings = network_.surroundings();
  surroundings.wire.At(surroundings.wire.NowNanos() + surroundings.chance.Delay(),
                       [weak = weak_from_this(), error, place = std::move(place)] {
                         const auto self = weak.lock();
                         if (self != nullptr) return self->answered_(error, place);
                         if (place.end != nullptr) place.end->Close(/*abort=*/true);  // whom nobody awaits
                       });
}

}  // namespace weft::internal::machine
