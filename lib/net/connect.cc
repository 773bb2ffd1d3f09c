#include "weft/net/connect.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/checkpoint.h"
#include "weft/net/resolver.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"
#include "weft/outcome.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {
namespace {

// The families take turns, beginning with the first address's; within each the order stays. (RFC 8305, section 4)
std::vector<SocketAddress> Interleaved(const std::vector<SocketAddress>& addresses) {
  const int preferred = addresses.front().family();
  const auto next = [&](size_t from, bool of_preferred) {
    while (from < addresses.size() && (addresses[from].family() == preferred) != of_preferred) ++from;
    return from;
  };
  size_t at[2] = {next(0, false), next(0, true)};
  std::vector<SocketAddress> result;
  result.reserve(addresses.size());
  for (bool turn = true; result.size() < addresses.size(); turn = !turn) {
    if (at[turn] == addresses.size()) continue;
    result.push_back(addresses[at[turn]]);
    at[turn] = next(at[turn] + 1, turn);
  }
  return result;
}

// What an attempt tells the next one.
struct Progress {
  Event begun;
  Event failed;
};

// Tells it whatever an attempt ends with, also if there is no memory for the attempt: the next one would wait for ever.
class Teller {
 public:
  explicit Teller(Progress& progress) noexcept : progress_(&progress) {}
  Teller(Teller&& other) noexcept : progress_(std::exchange(other.progress_, nullptr)) {}
  Teller& operator=(Teller&&) = delete;
  ~Teller() {
    if (progress_ == nullptr) return;
    progress_->begun.Set();
    progress_->failed.Set();
  }

  void Begun() noexcept { progress_->begun.Set(); }
  void Connected() noexcept { progress_ = nullptr; }

 private:
  Progress* progress_;  // null: there is nothing left to tell
};

// `before` is null for the first.
Task<absl::StatusOr<TcpStream>> Attempt(SocketAddress address, Progress* before, Teller own,
                                        const ConnectOptions& options) {
  if (before != nullptr) {
    co_await before->begun.Wait();
    (void)co_await MoveOnAfter(options.attempt_delay, before->failed.Wait());
  }
  own.Begun();
  absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address, options.from);
  if (stream.ok()) own.Connected();
  co_return stream;
}

// One status for all of them: the first, with a text that has all, or the first few.
absl::Status Together(size_t attempts, const std::vector<Failure>& failures) {
  if (failures.front().exception != nullptr) failures.front().Throw();
  const absl::Status& first = failures.front().status;
  std::string text = absl::StrCat("none of ", attempts, " addresses answered");
  for (const Failure& each : failures) absl::StrAppend(&text, "; ", each.status.message());
  absl::Status together(first.code(), text);
  first.ForEachPayload([&together](absl::string_view url, const absl::Cord& payload) {
    together.SetPayload(url, payload);
  });
  return together;
}

Task<absl::StatusOr<TcpStream>> ConnectTo(std::string host, uint16_t port, ConnectOptions options) {
  Resolver& resolver = options.resolver != nullptr ? *options.resolver : Resolver::Default();
  absl::StatusOr<std::vector<SocketAddress>> addresses = co_await resolver.Resolve(host, port);
  if (!addresses.ok()) co_return addresses.status();
  co_return co_await ConnectToAny(*std::move(addresses), options);
}

Task<absl::StatusOr<TcpStream>> Fail(absl::Status status) {
  co_await internal::CheckpointAwaiter();
  co_return status;
}

}  // namespace

Task<absl::StatusOr<TcpStream>> Connect(TextView host, uint16_t port, ConnectOptions options) {
  return ConnectTo(std::string(host.data(), host.size()), port, options);
}

Task<absl::StatusOr<TcpStream>> Connect(TextView host_and_port, ConnectOptions options) {
  const absl::string_view text(host_and_port.data(), host_and_port.size());
  const size_t colon = std::min(text.rfind(':'), text.size());
  absl::string_view host = text.substr(0, colon);
  const absl::string_view digits = text.substr(std::min(colon + 1, text.size()));
  uint32_t port = 0;
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || (!bracketed && host.find(':') != absl::string_view::npos) ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos || !absl::SimpleAtoi(digits, &port) ||
      port > 65535) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no host and port, as in \"db.internal:5432\" or \"[::1]:5432\"")));
  }
  return ConnectTo(std::string(host), static_cast<uint16_t>(port), options);
}

Task<absl::StatusOr<TcpStream>> ConnectToAny(std::vector<SocketAddress> addresses, ConnectOptions options) {
  co_await internal::CheckpointAwaiter();
  if (options.from.has_value()) {
    std::erase_if(addresses, [&](const SocketAddress& to) { return to.family() != options.from->family(); });
  }
  if (addresses.empty()) {
    co_return absl::NotFoundError(absl::StrCat(
        "no address to connect to", options.from.has_value() ? " from " + options.from->ToString() : ""));
  }
  if (addresses.size() == 1) co_return co_await TcpStream::Connect(addresses.front(), options.from);
  addresses = Interleaved(addresses);
  const auto progress = std::make_unique<Progress[]>(addresses.size());
  ShutdownOnSuccess<TcpStream> scope;
  for (size_t i = 0; i < addresses.size(); ++i) {
    scope.Fork(Attempt(addresses[i], i == 0 ? nullptr : &progress[i - 1], Teller(progress[i]), options));
  }
  ValueOutcome<TcpStream> connected = co_await scope.Join();
  if (!connected.ok()) co_return Together(addresses.size(), connected.failures());
  co_return std::move(connected);
}

}  // namespace weft::net
