// Layer testing. What does a descriptor of the machine stand for?
//
// What Linux calls an open file description: a socket, a pipe, an open file, an epoll. Descriptors share it, and so do
// messages that carry it. It is closed by its destructor, when the last of them is gone.
//
// Its functions return what the system call returns, with the errno as a negative number in place of -1. None blocks:
// one that would says -EAGAIN, whatever its flags.
#ifndef WEFT_LIB_TESTING_MACHINE_OPEN_OBJECT_H_
#define WEFT_LIB_TESTING_MACHINE_OPEN_OBJECT_H_

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weft::internal::machine {

class FileObject;
class OpenObject;
class Socket;

// The parts of a readv(2) or writev(2).
using Parts = std::span<const iovec>;

inline size_t BytesOf(Parts parts) noexcept {
  size_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  return bytes;
}

// Somebody who waits for an object to become ready: an epoll.
class Watcher {
 public:
  // `ready` has become true of it: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR.
  virtual void OnReady(const OpenObject& object, uint32_t ready) = 0;
  // It is about to be gone.
  virtual void OnGone(const OpenObject& object) noexcept = 0;

 protected:
  ~Watcher() = default;
};

class OpenObject {
 public:
  // `flags` as of open(2): the access mode, O_NONBLOCK, O_APPEND.
  explicit OpenObject(int flags) noexcept : flags_(flags) {}
  OpenObject(const OpenObject&) = delete;
  OpenObject& operator=(const OpenObject&) = delete;
  virtual ~OpenObject() {
    while (!watchers_.empty()) {
      Watcher& last = *watchers_.back();
      watchers_.pop_back();
      last.OnGone(*this);
    }
  }

  // For a report of what was left open: "a TCP listener on 10.0.0.1:80".
  virtual std::string Describe() const = 0;
  virtual Socket* AsSocket() noexcept { return nullptr; }
  virtual FileObject* AsFile() noexcept { return nullptr; }

  // EPOLLIN and so on, as poll(2) says it now.
  virtual uint32_t Readiness() const noexcept { return 0; }
  // Regular files and directories cannot: EPERM.
  virtual bool CanBeWatched() const noexcept { return true; }

  // read(2) and write(2), at the place where the descriptor stands.
  virtual int64_t Read(Parts) { return -EINVAL; }
  virtual int64_t Write(Parts) { return -EINVAL; }
  virtual int Stat(struct stat& result) {
    result = {};
    result.st_mode = S_IFSOCK | 0777;
    return 0;
  }

  int flags() const noexcept { return flags_; }
  // fcntl(2), F_SETFL: O_NONBLOCK and O_APPEND.
  void SetFlags(int flags) noexcept {
    constexpr int kSettable = O_NONBLOCK | O_APPEND;
    flags_ = (flags_ & ~kSettable) | (flags & kSettable);
  }

  void AddWatcher(Watcher& watcher) { watchers_.push_back(&watcher); }
  void RemoveWatcher(Watcher& watcher) noexcept { std::erase(watchers_, &watcher); }

 protected:
  void TellReady(uint32_t ready) {
    for (size_t i = 0; i < watchers_.size(); ++i) watchers_[i]->OnReady(*this, ready);
  }

 private:
  int flags_;
  std::vector<Watcher*> watchers_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_OPEN_OBJECT_H_
