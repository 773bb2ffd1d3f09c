// Layer fs. What is an open file that several virtual threads use, and any thread may close meanwhile?
//
// Each call holds a use. Shut() refuses further uses, and whoever leaves the last one closes the descriptor, so that
// its number is not used again under a call. All of it is under `lock_`:
//
//   state             next, and by whom
//   empty             open: Open()
//   open, n uses      n +- 1: Begin(), End(); shut, n: Shut()
//   shut, n > 0 uses  n - 1: End()
//   shut, 0 uses      closed in the kernel, by whoever brought it here
//   closed            none. Also from shut, 1 use: CloseInKernel(), by the one that has that use
//
// A Close() that waits for the others has a use itself: `alone()` is set when it is the only one. If the wait is
// cancelled, its use is left like any other.
//
// Not lib/io/open_descriptor.h: that ends operations that are pending in a driver, of which a file has none; and it
// has nowhere to put what close(2) says, which is of interest for a file, and is not for a socket.
//
// Memory: shared by the File and its calls.
#ifndef WEFT_LIB_FS_OPEN_FILE_H_
#define WEFT_LIB_FS_OPEN_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "weft/internal/lock.h"
#include "weft/sync/event.h"

namespace weft::internal {

class OpenFile {
 public:
  OpenFile(std::string path, bool append) noexcept : path_(std::move(path)), append_(append) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { Shut(); }

  // Once, before others know of this: owns `fd` from here on.
  void Open(int fd) noexcept { fd_ = fd; }

  // A use, or none if the file is shut. The OpenFile must outlive it.
  class Use {
   public:
    explicit Use(OpenFile& file) noexcept : file_(file), fd_(file.Begin()) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (fd_ >= 0) file_.End();
    }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int fd() const noexcept { return fd_; }

   private:
    OpenFile& file_;
    const int fd_;
  };

  // ---- Any thread.

  const std::string& path() const noexcept { return path_; }
  bool append() const noexcept { return append_; }
  // -1: shut.
  int fd() const noexcept;
  // Closes the descriptor if nobody uses it. False: it was shut before.
  bool Shut() noexcept;

  // ---- By the one that has shut it, with a use.

  Event& alone() noexcept { return alone_; }
  // When it is alone. Returns the errno of close(2), or 0.
  int CloseInKernel() noexcept;

  // ---- Its lock (FileLock): a File has one, and one that waits for it.

  // False: it has one.
  bool ClaimLock() noexcept;
  void DropLockClaim() noexcept;

  // Of Read() and Write(): the caller sees to it that there is one at a time.
  uint64_t position = 0;

 private:
  // Returns the descriptor, or -1.
  int Begin() noexcept;
  void End() noexcept;

  const std::string path_;
  const bool append_;
  mutable Lock lock_;
  int fd_ = -1;  // -1: empty, or closed
  int uses_ = 0;
  bool shut_ = false;
  bool lock_claimed_ = false;
  Event alone_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_OPEN_FILE_H_
