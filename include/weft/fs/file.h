// File: an open file.
//
//   absl::StatusOr<fs::File> file = co_await fs::File::Open("log.txt", {.write = true, .create = true});
//   if (!file.ok()) co_return file.status();
//   if (absl::Status done = co_await file->Append("started\n"); !done.ok()) co_return done;
//   char buffer[4096];
//   absl::StatusOr<size_t> got = co_await file->ReadAt(buffer, 0);
//   co_return co_await file->Close();
//
// For a whole file at once, see contents.h; for names, path.h and walk.h; for temporary files, temporary.h.
//
// Members. With a position of its own, as an io::Reader and an io::Writer: Read(), Write(), position(), SeekTo(). At a
// place: ReadAt(), WriteAt(), Append(). Of the whole: Sync(), DataSync(), Truncate(), Allocate(), Size(), Stat(),
// SetPermissions(), SetTimes(), Lock(), TryLock(), Close(). Adopt() takes over what somebody else has opened.
//
// How it waits. A call is made on an OS thread of the runtime's pool (blocking.h), so it parks the virtual thread and
// never holds a carrier. A read first takes what lies in the kernel's cache, at once (preadv2(2) with RWF_NOWAIT), up
// to 256 KiB; only what is not there goes to the pool. io_uring would gain nothing here: files go to kernel threads
// there, which cost the same, and what these have begun cannot be cancelled either.
//
// Who may call. Any number of virtual threads may read and write at places, sync, and ask, at once. Read(), Write(),
// position() and SeekTo() share the position: one thread at a time.
//
// What it opens. Files, directories for reading (Sync() makes their entries durable), and devices with places. A pipe,
// a socket or a terminal has no places: reads and writes fail with ESPIPE; opening it does not wait for a peer. A
// descriptor is never inherited by a program that is executed (O_CLOEXEC).
//
// Closing. Any thread may close a file that others use. Calls that have begun end as they would; calls that begin later
// fail with EBADF, and the message says that the file was closed here. The descriptor is closed after the last call.
// Close() waits for that, and returns what close(2) says. The destructor, and a move onto the File, do not wait, and
// lose that error: a network's file system, or a quota, may report only at the close that what was written is lost. So
// a program that must know calls Sync() or Close(). The destructor may also hold the carrier as long as close(2) takes.
//
// Errors are absl::Status, with the errno as a payload (errno.h); the message has the call and the path. A call that is
// not made at all, because the pool has no room, is kResourceExhausted (blocking.h).
//
// Cancellation: every call is a checkpoint. Before it begins in the kernel it is withdrawn; then it is awaited to its
// end and its result is delivered. So a Read() that is cancelled has not moved the position. A write or a ReadAt() of
// more than 4 MiB is made in parts of that size, and may be cancelled between two; a Write() has moved the position by
// what it has written. A file that Open() has opened for a thread that is cancelled is closed.
//
// In a simulation every call is made by the pool, at a moment that the seed decides.
//
// Lifetime. It can be moved, also while calls are pending, which go on. Buffers may lie in the awaiting frame.
// Cost: one frame, and for 4 KiB that are cached the kernel's 0.5 us; otherwise the pool's 10 to 20 us, and the
// kernel's time.
#ifndef WEFT_FS_FILE_H_
#define WEFT_FS_FILE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/fs/file_info.h"
#include "weft/fs/file_lock.h"
#include "weft/io/buffer.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft {

namespace internal {
struct FileAccess;

// Shuts the file when it goes, and when another is moved onto it. (file.cc)
class FileOwner {
 public:
  explicit FileOwner(std::shared_ptr<OpenFile> file) noexcept : file_(std::move(file)) {}
  FileOwner(FileOwner&&) noexcept = default;
  FileOwner& operator=(FileOwner&& other) noexcept {
    if (this == &other) return *this;
    Shut();
    file_ = std::move(other.file_);
    return *this;
  }
  ~FileOwner() { Shut(); }

  // Null: moved from.
  const std::shared_ptr<OpenFile>& get() const noexcept { return file_; }

 private:
  void Shut() noexcept;

  std::shared_ptr<OpenFile> file_;
};
}  // namespace internal

namespace fs {

// Neither to be read nor to be written is EINVAL.
struct OpenOptions {
  bool read = true;
  bool write = false;
  bool append = false;          // Write() at the end, whoever else writes; implies `write`, and WriteAt() is refused
  bool create = false;          // if it is not there
  bool exclusive = false;       // create it, or fail with EEXIST; a link that leads nowhere is there
  bool truncate = false;        // to no bytes; EINVAL without `write`
  bool follow_links = true;     // false: ELOOP if the last part of the path is a symbolic link
  uint32_t permissions = 0666;  // of a file that is created; the process's umask takes bits away
};

// (file.cc)
class File {
 public:
  static Task<absl::StatusOr<File>> Open(TextView path, OpenOptions options = {});
  // Takes over a descriptor that somebody else has opened: an inherited one, a memfd_create(2), one that
  // UnixStream::Receive() yields. Owns `fd` from here on, also if it fails, and closes it on exec(2). ESPIPE: a pipe, a
  // socket, a terminal, or anything else that has no places. EBADF: nothing is open, or by O_PATH.
  //
  // position() begins where the descriptor stands. The File's own moves on from there, the descriptor's stays: whoever
  // shares that, like the next command of a shell, begins there, and writes over what was written by this. Not so in
  // append mode, which is that of the descriptor (O_APPEND) when it is taken over. A lock is also that of all others
  // that have the same open file (dup(2), fork(2)). path() is "/proc/self/fd/<number>", which leads there meanwhile.
  //
  // Any thread may call it. Cost: four calls of the kernel, here, some 3 us; a network's file system may take longer.
  static absl::StatusOr<File> Adopt(int fd);

  File(File&&) noexcept = default;
  File& operator=(File&&) noexcept = default;  // closes what it had

  // ---- At the position. One thread at a time.

  // Reads at least one byte, up to buffer.size(). Returns the number of bytes, or 0 at the end of the file or for an
  // empty buffer.
  Task<absl::StatusOr<size_t>> Read(MutableBuffer buffer);
  // Writes all of `data`, which must stay until the Task has ended. In append mode like Append(), and the position
  // stays.
  Task<absl::Status> Write(ConstBuffer data);
  // Writes all of all, in this order. The array must stay, too.
  Task<absl::Status> Write(std::span<const ConstBuffer> parts);
  // In bytes from the beginning; 0 after Open(); after Adopt(), see there.
  uint64_t position() const noexcept;
  void SeekTo(uint64_t position) noexcept;

  // ---- At a place, in bytes from the beginning. Any number of threads.

  // Fills the buffer. Returns fewer bytes only at the end of the file.
  Task<absl::StatusOr<size_t>> ReadAt(MutableBuffer buffer, uint64_t offset);
  // Writes all of `data`. Beyond the end it leaves a hole, which reads as zeros. EINVAL in append mode, where Linux
  // would not look at `offset`.
  Task<absl::Status> WriteAt(ConstBuffer data, uint64_t offset);
  // Writes all of `data` at the end. What other processes append does not come in between, up to 4 MiB.
  Task<absl::Status> Append(ConstBuffer data);

  // ---- Of the whole.

  // Waits until everything that was written, by anybody, is on the medium: fsync(2). After a failure nobody knows what
  // is there; a second Sync() that succeeds does not say that the first one's bytes are. Write them again.
  Task<absl::Status> Sync();
  // Same, except for what is not needed to read the contents, like the time: fdatasync(2).
  Task<absl::Status> DataSync();
  // Cuts it, or adds zeros.
  Task<absl::Status> Truncate(uint64_t size);
  // Has the medium keep room for `size` bytes from `offset` on; the file becomes as long. EOPNOTSUPP where the file
  // system cannot.
  Task<absl::Status> Allocate(uint64_t offset, uint64_t size);
  Task<absl::StatusOr<uint64_t>> Size();
  Task<absl::StatusOr<FileInfo>> Stat();
  // As fs::SetPermissions() and fs::SetTimes() do by a path (path.h).
  Task<absl::Status> SetPermissions(uint32_t permissions);
  Task<absl::Status> SetTimes(FileTimes times);

  // Waits until no other open file has a lock that excludes this one. A File has one lock at a time; a second is a
  // CHECK. No OS thread waits for it: it is tried, and then again after pauses that grow from 1 to 50 ms. So a thread
  // that waits can be cancelled, and whoever comes later may get it first.
  Task<absl::StatusOr<FileLock>> Lock(LockKind kind);
  // Empty: another one has it.
  Task<absl::StatusOr<std::optional<FileLock>>> TryLock(LockKind kind);

  // Closes it, after the calls that have begun. What close(2) says; OK if it was closed before. If it is cancelled, or
  // the pool has no room, the file is closed like by the destructor.
  Task<absl::Status> Close();

  // False after a Close().
  bool is_open() const noexcept;
  // As it was opened; after Adopt(), see there.
  std::string_view path() const noexcept;
  // The descriptor, or -1. For what Weft has no call for. The File still owns it.
  int native_handle() const noexcept;

 private:
  friend internal::FileAccess;
  explicit File(std::shared_ptr<internal::OpenFile> file) noexcept : file_(std::move(file)) {}

  internal::FileOwner file_;
};

}  // namespace fs
}  // namespace weft

#endif  // WEFT_FS_FILE_H_
