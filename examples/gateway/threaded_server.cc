#include "examples/gateway/threaded_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "examples/gateway/json.h"
#include "examples/gateway/json_http.h"
#include "examples/gateway/machine.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "nlohmann/json.hpp"

namespace gateway {
namespace {

constexpr int kBacklog = 4096;
constexpr std::chrono::seconds kAwaitTimeout(60);
constexpr int kAcceptRetryMillis = 10;

// A socket over which whole messages are written and read, blocking. Closes itself.
class BlockingConnection {
 public:
  explicit BlockingConnection(int fd) : fd_(fd) {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  BlockingConnection(BlockingConnection&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), unparsed_(std::move(other.unparsed_)) {}
  ~BlockingConnection() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }
  // Nothing has come that nobody has asked for.
  bool reusable() const { return unparsed_.empty() && !http::HasInput(fd_); }

  bool Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Until `parser` has a whole message. False: the peer hung up, or does not speak HTTP.
  bool Read(http::Parser& parser) {
    unparsed_.erase(0, parser.Feed(unparsed_));
    for (char bytes[2048]; parser.state() != http::ParserState::kComplete;) {
      if (parser.state() == http::ParserState::kFailed) return false;
      const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      const std::string_view all(bytes, static_cast<size_t>(got));
      unparsed_ = std::string(all.substr(parser.Feed(all)));
    }
    return true;
  }

 private:
  int fd_;
  std::string unparsed_;
};

// Connections to one service, of which at most kMaxUpstreamConnections are in use; who finds none waits.
class BlockingPool {
 public:
  explicit BlockingPool(weft::net::SocketAddress address) : address_(address), host_(address.ToString()) {}

  const std::string& host() const { return host_; }

  // Nothing: the service cannot be reached. Otherwise Keep() or Drop() follows.
  std::optional<BlockingConnection> Take() {
    {
      std::unique_lock lock(mutex_);
      freed_.wait(lock, [&] { return in_use_ < kMaxUpstreamConnections; });
      ++in_use_;
      while (!kept_.empty()) {
        std::optional<BlockingConnection> kept(std::move(kept_.back()));
        kept_.pop_back();
        if (kept->reusable()) return kept;
      }
    }
    BlockingConnection fresh(socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    if (connect(fresh.fd(), address_.data(), address_.size()) == 0) return fresh;
    Drop();
    return std::nullopt;
  }
  void Keep(BlockingConnection connection) {
    std::lock_guard lock(mutex_);
    kept_.push_back(std::move(connection));
    --in_use_;
    freed_.notify_one();
  }
  void Drop() {
    std::lock_guard lock(mutex_);
    --in_use_;
    freed_.notify_one();
  }

 private:
  const weft::net::SocketAddress address_;
  const std::string host_;
  std::mutex mutex_;
  std::condition_variable freed_;
  int64_t in_use_ = 0;                    // guarded by mutex_
  std::vector<BlockingConnection> kept_;  // guarded by mutex_
};

class ThreadedServer {
 public:
  explicit ThreadedServer(const std::array<weft::net::SocketAddress, kServices>& upstreams)
      : pools_{BlockingPool(upstreams[0]), BlockingPool(upstreams[1]), BlockingPool(upstreams[2])} {}

  absl::Status Start(int fd) {
    auto start = std::make_unique<std::pair<ThreadedServer*, BlockingConnection>>(this, BlockingConnection(fd));
    AddConnections(1);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, static_cast<size_t>(kThreadStackBytes));
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int error = pthread_create(
        &thread, &attributes,
        [](void* argument) -> void* {
          ThreadedServer* server = nullptr;
          {
            std::unique_ptr<std::pair<ThreadedServer*, BlockingConnection>> given(
                static_cast<std::pair<ThreadedServer*, BlockingConnection>*>(argument));
            server = given->first;
            server->ServeConnection(given->second);
          }
          server->AddConnections(-1);
          return nullptr;
        },
        start.get());
    pthread_attr_destroy(&attributes);
    if (error == 0) {
      static_cast<void>(start.release());
      return absl::OkStatus();
    }
    AddConnections(-1);
    return absl::ResourceExhaustedError(absl::StrCat("an OS thread for a connection: error ", error));
  }

  void AwaitEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return connections_ == 0; });
  }

 private:
  void ServeConnection(BlockingConnection& connection) {
    for (http::RequestParser parser; connection.Read(parser);) {
      const http::Request request = parser.Take();
      http::Response response = Handle(request);
      response.keep_alive = request.keep_alive;
      if (!connection.Write(http::Serialize(response, request.method == "HEAD")) || !response.keep_alive) return;
    }
  }

  http::Response Handle(const http::Request& request) {
    const std::string_view path = http::PathOf(request.target);
    if (const std::optional<int64_t> id = IdAfter(path, "/user/")) {
      AddInFlight(1);
      http::Response response = User(*id);
      AddInFlight(-1);
      return response;
    }
    if (path == "/await") return Await(NumberInQuery(request.target, "at_least").value_or(0));
    if (path == "/stats") return Stats();
    return ErrorResponse(404, "no such page");
  }

  // Sends the three requests, and then waits for the three answers: they overlap without further threads. Connections
  // are taken in one order by all, so nobody waits in a circle.
  http::Response User(int64_t id) {
    const std::string request_id = absl::StrCat("t", ++next_request_);
    std::array<std::optional<BlockingConnection>, kServices> connections;
    std::array<bool, kServices> sent = {};
    for (size_t i = 0; i < kServices; ++i) {
      std::optional<BlockingConnection> taken = pools_[i].Take();
      if (!taken.has_value()) continue;
      connections[i].emplace(*std::move(taken));
      http::Request request{.target = absl::StrCat("/", kServiceNames[i], "/", id)};
      request.headers.Add("X-Request-Id", request_id);
      sent[i] = connections[i]->Write(http::Serialize(request, pools_[i].host()));
    }
    nlohmann::json answer = {{"request", request_id}, {"id", id}};
    static constexpr std::array<const char*, kServices> kParts = {"user", "orders", "payments"};
    bool failed = false;
    for (size_t i = 0; i < kServices; ++i) {
      if (!connections[i].has_value()) {
        failed = true;
        continue;
      }
      http::ResponseParser parser;
      const bool answered = sent[i] && connections[i]->Read(parser);
      if (!answered) {
        failed = true;
        pools_[i].Drop();
        continue;
      }
      const http::Response part = parser.Take();
      if (part.keep_alive) {
        pools_[i].Keep(*std::move(connections[i]));
      } else {
        pools_[i].Drop();
      }
      absl::StatusOr<nlohmann::json> parsed = ParseJson(part.body);
      failed = failed || part.status != 200 || !parsed.ok();
      if (parsed.ok()) answer[kParts[i]] = *std::move(parsed);
    }
    return failed ? ErrorResponse(502, "a service failed") : JsonResponse(200, answer);
  }

  http::Response Await(int64_t at_least) {
    std::unique_lock lock(mutex_);
    const bool reached = changed_.wait_for(lock, kAwaitTimeout, [&] { return in_flight_ >= at_least; });
    if (!reached) return ErrorResponse(504, absl::StrCat("the counter is only at ", in_flight_));
    return JsonResponse(200, {{"value", in_flight_}});
  }

  http::Response Stats() {
    std::lock_guard lock(mutex_);
    return JsonResponse(200, {{"os_threads", OsThreads()},
                              {"rss_bytes", ResidentBytes()},
                              {"in_flight", in_flight_},
                              {"in_flight_peak", in_flight_peak_}});
  }

  void AddConnections(int64_t change) {
    std::lock_guard lock(mutex_);
    connections_ += change;
    changed_.notify_all();
  }
  void AddInFlight(int64_t change) {
    std::lock_guard lock(mutex_);
    in_flight_ += change;
    in_flight_peak_ = std::max(in_flight_peak_, in_flight_);
    changed_.notify_all();
  }

  std::array<BlockingPool, kServices> pools_;
  std::atomic<int64_t> next_request_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t connections_ = 0;     // guarded by mutex_
  int64_t in_flight_ = 0;       // guarded by mutex_
  int64_t in_flight_peak_ = 0;  // guarded by mutex_
};

absl::Status Errno(const char* what) { return absl::ErrnoToStatus(errno, what); }

}  // namespace

absl::Status ServeThreaded(std::array<weft::net::SocketAddress, kServices> upstreams,
                           const std::function<void(uint16_t port)>& announce) {
  std::optional<BlockingConnection> listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener->fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return Errno("bind");
  if (listen(listener->fd(), kBacklog) != 0) return Errno("listen");
  if (getsockname(listener->fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return Errno("getsockname");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // also of the threads that are started later
  const BlockingConnection terminated(signalfd(-1, &signals, SFD_CLOEXEC));
  announce(ntohs(address.sin_port));

  ThreadedServer server(upstreams);
  for (;;) {
    std::array<pollfd, 2> ready = {{{listener->fd(), POLLIN, 0}, {terminated.fd(), POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return Errno("poll");
    }
    if (ready[1].revents != 0) break;
    const int fd = accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) continue;
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
      poll(&ready[1], 1, kAcceptRetryMillis);  // others will close some, or this is to end
      continue;
    }
    if (fd < 0) return Errno("accept");
    // The client sees its connection closed, and reports it.
    if (absl::Status started = server.Start(fd); !started.ok())
      std::fprintf(stderr, "%s\n", started.ToString().c_str());
  }
  // The next one ends the process as it ends any.
  signalfd_siginfo first;
  if (read(terminated.fd(), &first, sizeof(first)) < 0) return Errno("read");
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  listener.reset();
  server.AwaitEnd();
  return absl::OkStatus();
}

}  // namespace gateway
