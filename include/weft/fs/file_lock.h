// FileLock: holds a lock on a file, which File::Lock() and File::TryLock() yield. The destructor unlocks.
//
//   absl::StatusOr<fs::FileLock> lock = co_await file.Lock(fs::LockKind::kExclusive);
//   if (!lock.ok()) co_return lock.status();
//
// It is flock(2): a lock on the whole file, among processes, and among the Files of one process. It is advisory: it
// keeps nobody from reading or writing who does not lock. It is that of flock(1), of Go's and of Rust's. The lock
// belongs to the open file: a File that was opened twice has two, and the end of the process, or a Close(), gives it
// back. Chosen over fcntl(2)'s locks of an open file description, which also lock ranges: those ask for a File that may
// be written to where the lock is exclusive, and the programs that are usually on the other side do not see them. In a
// child of fork(2) the destructor of an object that it inherited unlocks nothing: the lock is the parent's.
//
// Among virtual threads of one process use a Mutex: it is fair, and needs no call of the kernel's.
#ifndef WEFT_FS_FILE_LOCK_H_
#define WEFT_FS_FILE_LOCK_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace weft {

namespace internal {
class OpenFile;
struct LockAccess;
}  // namespace internal

namespace fs {

enum class LockKind {
  kShared,     // any number at once
  kExclusive,  // one, and no shared one meanwhile
};

class [[nodiscard("the destructor unlocks")]] FileLock {
 public:
  FileLock(FileLock&& other) noexcept = default;
  FileLock& operator=(FileLock&& other) noexcept {
    if (this == &other) return *this;
    Unlock();
    file_ = std::move(other.file_);
    forks_ = other.forks_;
    return *this;
  }
  ~FileLock() { Unlock(); }

  // Idempotent. The kernel's call does not wait, except on a network's file system.
  void Unlock() noexcept;

 private:
  friend internal::LockAccess;
  explicit FileLock(std::shared_ptr<internal::OpenFile> file) noexcept;

  std::shared_ptr<internal::OpenFile> file_;  // null: unlocked, or moved from
  uint32_t forks_;  // ForksSoFar() when it was locked (lib/thread/runtime_services.h)
};

}  // namespace fs
}  // namespace weft

#endif  // WEFT_FS_FILE_LOCK_H_
