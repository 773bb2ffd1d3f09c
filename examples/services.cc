// Services that other threads wait for, failures that are reported, and a context that is bound again further in.
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/weft.h"

namespace {

weft::ScopedValue<std::string> kContext;

// Prints in which context it is called.
void Log(const std::string& message) { std::printf("[%s] %s\n", kContext.OrElse("").c_str(), message.c_str()); }

//! [rebinding]
weft::Task<void> Query(std::string what) {
  weft::ScopedBinding context(kContext,
                              kContext.Get() + "/database");  // hides the outer one until the end of this block
  Log(what);
  co_return;
}
weft::Task<void> Handle(int request) {
  weft::ScopedBinding context(kContext, absl::StrCat("request ", request));
  Log("begins");
  co_await Query("select");
  Log("ends");  // as before
}
//! [rebinding]

// Answers one request when asked to.
class Server {
 public:
  //! [service]
  weft::Task<absl::Status> Serve(weft::Ready ready) {
    if (open_) co_return absl::AlreadyExistsError("the address is in use");
    open_ = true;
    ready.Set();  // the thread that started it goes on
    while (true) {
      co_await asked_.Wait();
      asked_.Reset();
      co_await Handle(++requests_);
      answered_.Set();
    }
  }
  //! [service]
  weft::Task<void> Ask() {
    answered_.Reset();
    asked_.Set();
    co_await answered_.Wait();
  }

 private:
  bool open_ = false;
  int requests_ = 0;
  weft::Event asked_, answered_;
};

weft::Task<absl::Status> Main() {
  Server server;
  int failures = 0;
  // When a child fails, the others run on, and the failure is reported at once. One call at a time: no lock.
  weft::Supervisor scope([&failures](const weft::AnySubtask& failed) {
    ++failures;
    std::printf("a service failed: %s\n", failed.status().ToString().c_str());
  });
  const auto serve = [&server](weft::Ready ready) { return server.Serve(std::move(ready)); };

  // Returns when the service is ready, so that no request is refused.
  auto started = co_await scope.Start(serve, {.name = "server"});
  if (!started.ok()) co_return started.status();
  co_await server.Ask();

  auto again = co_await scope.Start(serve, {.name = "another server"});
  std::printf("once more: %s\n", again.status().ToString().c_str());
  std::printf("the first one runs on: %s\n", started->state() == weft::AnySubtask::State::kUnavailable ? "yes" : "no");

  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
  std::printf("failures: %d\n", failures);
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
