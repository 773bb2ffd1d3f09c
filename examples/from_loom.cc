// The programs of docs/from-loom.md, which shows them beside their Java versions, and a run of each.
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "weft/weft.h"

namespace {

template <class... Words>
void Print(const Words&... words) {
  std::printf("%s\n", absl::StrCat(words...).c_str());
}

weft::Task<std::string> Fetch(int url) {
  co_await weft::Sleep(absl::Milliseconds(url));
  co_return absl::StrCat("page ", url);
}

weft::Task<absl::StatusOr<int>> Price(std::string shop) {
  co_await weft::Sleep(absl::Milliseconds(shop.size()));
  if (shop == "shut") co_return absl::UnavailableError("the shop is shut");
  co_return static_cast<int>(shop.size()) * 100;
}

weft::Task<void> Log(std::string line) {
  co_await weft::Yield();
  Print(line);
}

// ---- Threads.

namespace threads {
//! [threads]
weft::Task<void> Main() {
  weft::AwaitAll scope("main");
  scope.Fork(Log("one"), {.name = "logger"});
  (co_await scope.Join()).IgnoreFailures();
}
//! [threads]
}  // namespace threads

namespace executor {
//! [executor]
weft::Task<int> Sum(std::vector<int> urls) {
  weft::AwaitAll scope;
  std::vector<weft::Subtask<std::string>> pages;
  for (int url : urls)
    pages.push_back(scope.Fork(Fetch(url)));
  (co_await scope.Join()).IgnoreFailures();
  size_t sum = 0;
  for (auto& page : pages) sum += page->size();
  co_return static_cast<int>(sum);
}
//! [executor]
}  // namespace executor

namespace completion {
//! [completion]
weft::Task<void> PrintAll(std::vector<int> urls) {
  weft::AsCompleted<std::string> scope(
      {.max_concurrency = 8});
  for (int url : urls) scope.Fork(Fetch(url));
  while (auto page = co_await scope.NextCompleted())
    Print(**page);
  (co_await scope.Join()).IgnoreFailures();
}
//! [completion]
}  // namespace completion

// ---- Scopes.

namespace both {
//! [both]
weft::Task<absl::StatusOr<int>> Total() {
  weft::ShutdownOnFailure scope;
  auto books = scope.Fork(Price("books"));
  auto music = scope.Fork(Price("music"));
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  co_return *books + *music;
}
//! [both]
}  // namespace both

namespace first {
//! [first]
weft::Task<absl::StatusOr<int>> Any() {
  weft::ShutdownOnSuccess<int> scope;
  scope.Fork(Price("shut"));
  scope.Fork(Price("music"));
  co_return co_await scope.Join();
}
//! [first]
}  // namespace first

namespace deadline {
//! [deadline]
weft::Task<absl::StatusOr<int>> InTime() {
  co_return co_await weft::WithTimeout(
      absl::Minutes(1), both::Total());
}
//! [deadline]
}  // namespace deadline

namespace values {
//! [values]
weft::ScopedValue<std::string> kUser;

weft::Task<void> Work() {
  co_await Log("for " + kUser.Get());
}
weft::Task<void> Serve() {
  co_await weft::Where(kUser, "ann").Run(Work());
}
//! [values]
}  // namespace values

// ---- Locks.

namespace locks {
//! [locks]
class Account {
 public:
  weft::Task<void> Deposit(int amount) {
    weft::MutexGuard guard = co_await mutex_.Lock();
    DepositLocked(amount);
  }
  weft::Task<void> DepositTwice(int amount) {
    weft::MutexGuard guard = co_await mutex_.Lock();
    // co_await Deposit(amount) would wait for itself.
    DepositLocked(amount);
    DepositLocked(amount);
  }
  int balance() const { return balance_; }

 private:
  void DepositLocked(int amount) { balance_ += amount; }

  weft::Mutex mutex_;
  int balance_ = 0;  // guarded by mutex_
};
//! [locks]
}  // namespace locks

namespace limits {
//! [limits]
weft::Semaphore permits(10);

weft::Task<std::string> Politely(int url) {
  weft::Permit permit = co_await permits.Acquire();
  co_return co_await Fetch(url);
}
//! [limits]
}  // namespace limits

// ---- Cancellation, sockets.

namespace interrupt {
//! [interrupt]
weft::Task<void> Poll(std::atomic<int>& polls) {
  for (;;) {
    ++polls;
    co_await weft::Sleep(absl::Milliseconds(1));
  }
}
weft::Task<void> PollForAWhile(std::atomic<int>& polls) {
  weft::AwaitAll scope;
  scope.Fork(Poll(polls));
  co_await weft::Sleep(absl::Milliseconds(20));
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
}
//! [interrupt]
}  // namespace interrupt

namespace sockets {
using weft::net::TcpListener;
using weft::net::TcpStream;
//! [sockets]
weft::Task<absl::Status> Echo(TcpStream stream) {
  for (char bytes[512];;) {
    absl::StatusOr<size_t> got =
        co_await stream.Read(absl::MakeSpan(bytes));
    if (!got.ok() || *got == 0) co_return got.status();
    absl::Status sent = co_await stream.Write({bytes, *got});
    if (!sent.ok()) co_return sent;
  }
}
weft::Task<absl::Status> Serve(TcpListener& listener) {
  weft::AwaitAll scope;
  for (;;) {
    auto stream = co_await listener.Accept();
    if (!stream.ok()) co_return stream.status();
    scope.Fork(Echo(*std::move(stream)));
  }
}
//! [sockets]

weft::Task<absl::StatusOr<std::string>> EchoOnce() {
  auto listener = TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  auto address = listener->local_address();
  if (!address.ok()) co_return address.status();
  weft::ShutdownOnFailure scope;
  scope.ForkDaemon(Serve(*listener));
  auto echo = scope.Fork([&]() -> weft::Task<absl::StatusOr<std::string>> {
    auto stream = co_await TcpStream::Connect(*address);
    if (!stream.ok()) co_return stream.status();
    if (absl::Status sent = co_await stream->Write("hello"); !sent.ok()) co_return sent;
    std::string answer(5, ' ');
    if (absl::Status got = co_await stream->ReadExactly(absl::MakeSpan(answer.data(), answer.size())); !got.ok())
      co_return got;
    co_return answer;
  });
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  co_return *echo;
}
}  // namespace sockets

weft::Task<absl::Status> Main() {
  co_await threads::Main();
  Print("the pages have ", co_await executor::Sum({1, 20, 300}), " bytes");
  co_await completion::PrintAll({1, 1, 1});
  absl::StatusOr<int> total = co_await both::Total();
  if (!total.ok()) co_return total.status();
  absl::StatusOr<int> any = co_await first::Any();
  if (!any.ok()) co_return any.status();
  absl::StatusOr<int> in_time = co_await deadline::InTime();
  if (!in_time.ok()) co_return in_time.status();
  Print("both ", *total, ", one of them ", *any, ", in time ", *in_time);
  co_await values::Serve();
  locks::Account account;
  co_await account.Deposit(1);
  co_await account.DepositTwice(2);
  Print("the account has ", account.balance());
  Print(co_await limits::Politely(7));
  std::atomic<int> polls = 0;
  co_await interrupt::PollForAWhile(polls);
  Print("polled for a while");  // it ends, although Poll() never does
  absl::StatusOr<std::string> echo = co_await sockets::EchoOnce();
  if (!echo.ok()) co_return echo.status();
  Print("echo: ", *echo);
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
