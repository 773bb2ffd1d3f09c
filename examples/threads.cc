// Threads outside of scopes: named by a Builder, joined, asked to end, and ended with their runtime; a handler for what
// nobody joins; parking, and a thread-local.
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/thread_builder.h"
#include "weft/virtual_thread_local.h"
#include "weft/weft.h"

namespace {

weft::VirtualThreadLocal<int> beats("beats");  // each thread has its own
weft::Event beating;

void Log(weft::TextView what, const absl::Status& status, const std::exception_ptr&) {
  std::printf("%s: %s\n", std::string(what).c_str(), status.ToString().c_str());
}

weft::Task<void> LoadIndex() { co_await weft::Sleep(absl::Hours(1)); }

weft::Task<void> Heartbeat() {
  struct Last {
    ~Last() { std::printf("the heartbeat ends with its runtime\n"); }
  } last;
  for (;; co_await weft::Sleep(absl::Milliseconds(1))) {
    if (++beats.Get() == 3) beating.Set();
  }
}

weft::Task<void> Compact() {
  co_await weft::VirtualThread::Park();
  std::printf("%s compacts\n", std::string(weft::VirtualThread::Current().name()).c_str());
}

weft::Task<absl::Status> Work() { co_return absl::DataLossError("no index"); }

//! [threads]
weft::Task<absl::Status> Main() {
  weft::VirtualThread loader = weft::VirtualThread::Builder()
      .Name("loader-", 0)                  // loader-0, loader-1, ...
      .OnUncaughtFailure(Log)              // its failure, if nobody joins; default: the runtime's handler
      .Start(LoadIndex);                   // a Task, or a closure that returns one
  weft::VirtualThread::Start([] { return Heartbeat(); });  // unnamed, and nobody need join it

  weft::VirtualThread later = weft::VirtualThread::Builder().Name("later").Unstarted(Compact);
  later.Start();                           // once; a second Start() is a CHECK
  later.Unpark();                          // one permit, before or after its Park()
  absl::Status compacted = co_await later.Join();

  weft::ThreadFactory factory = weft::VirtualThread::Builder().Name("worker-", 0).Factory();  // for any number at once
  weft::VirtualThread worker = factory.New(Work);
  worker.Start();
  absl::Status worked = co_await worker.Join();  // its failure

  loader.RequestCancel("no longer wanted");      // a request like any other; idempotent
  absl::Status ended = co_await loader.Join();   // kCancelled, with the reason; any number may join
  //! [threads]
  std::printf("%s: %s\n", std::string(later.name()).c_str(), compacted.ToString().c_str());
  std::printf("%s: %s\n", std::string(worker.name()).c_str(), worked.ToString().c_str());
  std::printf("%s: %s\n", std::string(loader.name()).c_str(), weft::ReasonOf(ended).text.c_str());

  {
    weft::VirtualThread lost = weft::VirtualThread::Builder().Name("lost").OnUncaughtFailure(Log).Start(Work);
    while (lost.IsAlive()) co_await weft::Yield();
  }  // nobody has joined it
  co_await beating.Wait();
  co_return absl::OkStatus();
}  // the runtime's end asks the heartbeat to end, and waits

}  // namespace

int main() { return weft::RunMain(Main()); }
