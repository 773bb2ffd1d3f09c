#include "weft/net/tcp_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/net/open_socket.h"

namespace weft::net {
namespace {

using internal::SetSocketOption;

constexpr int64_t kLongestKeepAliveSeconds = 32'767;

absl::Status CheckSeconds(absl::Duration duration, absl::string_view what) {
  if (duration > absl::ZeroDuration() && duration <= absl::Seconds(kLongestKeepAliveSeconds)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("SetKeepAlive(): ", what, " is ", absl::FormatDuration(duration), "; it must be 1 to ",
                   kLongestKeepAliveSeconds, " seconds"));
}

int WholeSeconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))));
}

absl::Status CheckBytes(int bytes, absl::string_view what) {
  if (bytes > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, "() of ", bytes, " bytes"));
}

}  // namespace

absl::Status TcpOptions::SetNoDelay(bool on) {
  return SetSocketOption(socket_, IPPROTO_TCP, TCP_NODELAY, static_cast<int>(on), "SetNoDelay()");
}

absl::Status TcpOptions::SetKeepAlive(const KeepAlive& keep_alive) {
  constexpr char kWhat[] = "SetKeepAlive()";
  if (absl::Status s = CheckSeconds(keep_alive.idle, "idle"); !s.ok()) return s;
  if (absl::Status s = CheckSeconds(keep_alive.interval, "interval"); !s.ok()) return s;
  const int idle = WholeSeconds(keep_alive.idle);
  const int interval = WholeSeconds(keep_alive.interval);
  if (absl::Status s = SetSocketOption(socket_, IPPROTO_TCP, TCP_KEEPIDLE, idle, kWhat); !s.ok()) return s;
  if (absl::Status s = SetSocketOption(socket_, IPPROTO_TCP, TCP_KEEPINTVL, interval, kWhat); !s.ok()) return s;
  if (absl::Status s = SetSocketOption(socket_, IPPROTO_TCP, TCP_KEEPCNT, keep_alive.count, kWhat); !s.ok()) return s;
  return SetSocketOption(socket_, SOL_SOCKET, SO_KEEPALIVE, /*value=*/1, kWhat);
}

absl::Status TcpOptions::DisableKeepAlive() {
  return SetSocketOption(socket_, SOL_SOCKET, SO_KEEPALIVE, /*value=*/0, "DisableKeepAlive()");
}

absl::Status TcpOptions::SetLinger(TimeSpan linger) {
  if (linger != absl::ZeroDuration() && linger != absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        "SetLinger() of a time would block the carrier that closes the stream; write all, ShutdownWrite(), and read to "
        "the end instead");
  }
  const struct linger value = {.l_onoff = linger == absl::ZeroDuration(), .l_linger = 0};
  return SetSocketOption(socket_, SOL_SOCKET, SO_LINGER, value, "SetLinger()");
}

absl::Status TcpOptions::SetSendBufferSize(int bytes) {
  if (absl::Status s = CheckBytes(bytes, "SetSendBufferSize"); !s.ok()) return s;
  return SetSocketOption(socket_, SOL_SOCKET, SO_SNDBUF, bytes, "SetSendBufferSize()");
}

absl::Status TcpOptions::SetReceiveBufferSize(int bytes) {
  if (absl::Status s = CheckBytes(bytes, "SetReceiveBufferSize"); !s.ok()) return s;
  return SetSocketOption(socket_, SOL_SOCKET, SO_RCVBUF, bytes, "SetReceiveBufferSize()");
}

}  // namespace weft::net
