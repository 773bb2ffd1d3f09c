// A chat over TCP. Each line that a member writes goes to all others. Nobody waits for one who does not read: a member
// has a queue of 64 messages, and whoever lets it fill up is shown the door.
//
//   ./bazelw run //examples:chat                                # four guests, and what they see
//   ./bazelw run //examples:chat -- --listen=127.0.0.1:7000     # until SIGINT or SIGTERM; try telnet
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/btree_map.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "examples/most_connections.h"
#include "weft/channel/channel.h"
#include "weft/io/buffered_reader.h"
#include "weft/signal.h"
#include "weft/weft.h"

ABSL_FLAG(std::string, listen, "", "address to listen on; empty: shows four guests, and ends");

namespace {

constexpr size_t kMaxLine = 8 << 10;

using weft::Task;
using weft::net::TcpListener;
using weft::net::TcpStream;
using Message = std::shared_ptr<const std::string>;  // one for all who get it

struct Member {
  std::string name;
  weft::Channel<Message> queue{64};
  weft::Event too_slow;
};

class Room {
 public:
  // False: the name is taken.
  bool Enter(Member& member) {
    std::lock_guard guard(mutex_);
    if (!members_.try_emplace(member.name, &member).second) return false;
    Tell(member, absl::StrCat("* ", member.name, " has come\n"));
    return true;
  }
  void Leave(Member& member, const char* how) {
    std::lock_guard guard(mutex_);
    members_.erase(member.name);
    Tell(member, absl::StrCat("* ", member.name, how, "\n"));
  }
  void Say(Member& member, const std::string& line) {
    std::lock_guard guard(mutex_);
    Tell(member, absl::StrCat(member.name, ": ", line, "\n"));
  }

 private:
  // To all but one. With mutex_ held, so that everybody has the lines in the same order.
  void Tell(const Member& but, std::string line) {
    const Message message = std::make_shared<const std::string>(std::move(line));
    for (const auto& [name, member] : members_) {
      if (member != &but && !member->queue.TrySend(message)) member->too_slow.Set();
    }
  }

  std::mutex mutex_;
  absl::btree_map<std::string, Member*> members_;  // guarded by mutex_
};

template <class Reader>
Task<absl::Status> Listen(Reader& in, Room& room, Member& member) {
  while (true) {
    const auto line = co_await in.ReadLine({.max_bytes = kMaxLine});
    if (!line.ok()) co_return line.status();
    room.Say(member, std::string(*line));
  }
}

Task<absl::Status> Pass(TcpStream& out, Member& member) {
  while (std::optional<Message> message = co_await member.queue.Receive()) {
    if (absl::Status sent = co_await out.Write(**message); !sent.ok()) co_return sent;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Serve(TcpStream stream, Room& room) {
  if (absl::Status sent = co_await stream.Write("your name?\n"); !sent.ok()) co_return sent;
  weft::io::BufferedReader in(stream);
  const auto name = co_await in.ReadLine({.max_bytes = 32});
  if (!name.ok()) co_return name.status();
  Member member;
  member.name = std::string(*name);
  if (!room.Enter(member)) co_return co_await stream.Write("that name is taken\n");
  const char* how = " has gone";
  const absl::Cleanup leave = [&] { room.Leave(member, how); };  // cancelled or not
  const std::string welcome = absl::StrCat("welcome, ", member.name, "\n");
  if (absl::Status sent = co_await stream.Write(welcome); !sent.ok()) co_return sent;
  weft::ShutdownOnFailure scope;  // the first that ends ends the others
  scope.Fork(Listen(in, room, member));
  scope.Fork(Pass(stream, member));
  scope.Fork([&]() -> Task<absl::Status> {
    co_await member.too_slow.Wait();
    how = " was too slow";
    co_return absl::ResourceExhaustedError("too slow");
  });
  co_return co_await scope.Join();
}

// Until it is cancelled. A guest's end is nobody else's.
Task<absl::Status> Welcome(TcpListener& listener, Room& room) {
  weft::Semaphore chairs(MostConnections());
  weft::AwaitAll guests("guests");
  while (true) {
    weft::Permit chair = co_await chairs.Acquire();
    absl::StatusOr<TcpStream> stream = co_await listener.Accept();
    if (!stream.ok()) co_return stream.status();
    guests.Fork([&room, c = std::move(chair), s = *std::move(stream)]() mutable { return Serve(std::move(s), room); });
  }
}

// ---- Four guests.

class Guest {
 public:
  static Task<absl::StatusOr<std::unique_ptr<Guest>>> Come(const TcpListener& listener, std::string name) {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(*listener.local_address());
    if (!stream.ok()) co_return stream.status();
    auto guest = std::make_unique<Guest>(*std::move(stream), name);
    if (absl::Status seen = co_await guest->See(); !seen.ok()) co_return seen;
    if (absl::Status said = co_await guest->Say(name); !said.ok()) co_return said;
    if (absl::Status seen = co_await guest->See(); !seen.ok()) co_return seen;
    co_return guest;
  }
  Guest(TcpStream stream, std::string name) : stream_(std::move(stream)), name_(std::move(name)) {}

  Task<absl::Status> Say(std::string line) { co_return co_await stream_.Write(line + "\n"); }
  // Prints the next line.
  Task<absl::Status> See() {
    const auto line = co_await in_.ReadLine();
    if (line.ok()) std::printf("%-6s sees  %s\n", name_.c_str(), std::string(*line).c_str());
    co_return line.status();
  }

 private:
  TcpStream stream_;
  std::string name_;
  weft::io::BufferedReader<TcpStream&> in_{stream_};
};

Task<absl::Status> Show(TcpListener& listener) {
  auto ann = co_await Guest::Come(listener, "ann");
  if (!ann.ok()) co_return ann.status();
  auto other = co_await Guest::Come(listener, "ann");  // ann is there: her name is taken
  if (!other.ok()) co_return other.status();

  auto bob = co_await Guest::Come(listener, "bob");
  if (!bob.ok()) co_return bob.status();
  if (absl::Status s = co_await (*ann)->See(); !s.ok()) co_return s;
  if (absl::Status s = co_await (*ann)->Say("hello bob"); !s.ok()) co_return s;
  if (absl::Status s = co_await (*bob)->See(); !s.ok()) co_return s;
  if (absl::Status s = co_await (*bob)->Say("hello ann, and goodbye"); !s.ok()) co_return s;
  if (absl::Status s = co_await (*ann)->See(); !s.ok()) co_return s;
  bob->reset();
  if (absl::Status s = co_await (*ann)->See(); !s.ok()) co_return s;

  auto dozer = co_await Guest::Come(listener, "dozer");  // reads nothing
  if (!dozer.ok()) co_return dozer.status();
  if (absl::Status s = co_await (*ann)->See(); !s.ok()) co_return s;
  std::atomic<bool> gone = false;
  weft::ShutdownOnFailure scope;
  scope.Fork([&]() -> Task<absl::Status> {
    absl::Status seen = co_await (*ann)->See();
    gone = true;
    co_return seen;
  });
  scope.Fork([&]() -> Task<absl::Status> {
    const std::string story(kMaxLine / 2, '.');
    absl::Status said;
    while (said.ok() && !gone) said = co_await (*ann)->Say(story);
    co_return said;
  });
  co_return co_await scope.Join();
}

Task<absl::Status> Main() {
  const std::string address = absl::GetFlag(FLAGS_listen);
  absl::StatusOr<TcpListener> listener = TcpListener::Bind(address.empty() ? "127.0.0.1:0" : address);
  if (!listener.ok()) co_return listener.status();
  Room room;
  weft::ShutdownOnFailure scope("chat");
  scope.Fork(Welcome(*listener, room));
  scope.Fork([&]() -> Task<absl::Status> {
    absl::Status shown;
    if (address.empty()) {
      shown = co_await Show(*listener);
    } else {
      weft::Signals signals({SIGINT, SIGTERM});
      co_await signals.Next();
    }
    scope.Shutdown();
    co_return shown;
  });
  co_return co_await scope.Join();
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return weft::RunMain(Main());
}
