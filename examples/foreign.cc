// Coroutines of another library, below a Task and above one.
#include <coroutine>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

// Another library, which knows nothing of virtual threads.
namespace other {

// Reads on an OS thread of its own, which resumes the coroutine that awaits it.
class File {
 public:
  explicit File(std::string content) : content_(std::move(content)) {}
  ~File() {
    if (reader_.joinable()) reader_.join();
  }

  struct Read {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) {
      file.reader_ = std::thread([awaiting] { awaiting.resume(); });
    }
    int await_resume() const { return static_cast<int>(file.content_.size()); }
    File& file;
  };

 private:
  std::string content_;
  std::thread reader_;
};

File::Read ReadAsync(File& file) { return {file}; }

// A coroutine that the awaiting coroutine starts, and that resumes it when it ends.
class Task {
 public:
  struct promise_type {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() const noexcept {
      struct Resumes {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept { return continuation; }
        void await_resume() const noexcept {}
        std::coroutine_handle<> continuation;
      };
      return Resumes{continuation};
    }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
    std::coroutine_handle<> continuation;
  };

  Task(Task&& task) noexcept : frame_(std::exchange(task.frame_, {})) {}
  ~Task() {
    if (frame_) frame_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
    frame_.promise().continuation = awaiting;
    return frame_;
  }
  void await_resume() const noexcept {}

 private:
  explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

}  // namespace other

namespace {

// clang-format off
//! [foreign]
weft::Task<int> Count(other::File& file) {
  co_return co_await weft::Foreign(other::ReadAsync(file));    // anything that can be awaited
}
other::Task Pause() {
  co_await weft::AsForeign(weft::Sleep(absl::Milliseconds(5)));  // below some weft::Foreign()
}
//! [foreign]
// clang-format on

weft::Task<absl::Status> Main() {
  const weft::VirtualThread self = weft::VirtualThread::Current();
  other::File file("forty-two bytes are what this file contain");
  const int bytes = co_await Count(file);
  std::printf("read %d bytes, and goes on on its virtual thread: %s\n", bytes,
              weft::VirtualThread::Current() == self ? "yes" : "no");

  const weft::MonotonicTime begin = weft::MonotonicNow();
  co_await weft::All(weft::Foreign(Pause()), weft::Foreign(Pause()));
  std::printf("two foreign coroutines have slept: %s\n",
              weft::MonotonicNow() - begin >= absl::Milliseconds(5) ? "yes" : "no");
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
