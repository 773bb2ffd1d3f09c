// Temporary files: a file without a name, and a directory that is removed with its object.
//
//   absl::StatusOr<fs::TemporaryDirectory> scratch = co_await fs::TemporaryDirectory::Create();
//   if (!scratch.ok()) co_return scratch.status();
//   ... co_await fs::WriteFile(scratch->path() + "/part", part) ...
//   co_return co_await scratch->Remove();
//
// They are created in TemporaryOptions::directory; if that is empty, in $TMPDIR, or else in /tmp. Names are by chance
// (getrandom(2)), and created only if they are new.
//
// Cancellation: each function is a checkpoint. What was created for a thread that is cancelled is removed.
#ifndef WEFT_FS_TEMPORARY_H_
#define WEFT_FS_TEMPORARY_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/fs/file.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft {

namespace internal {
struct TemporaryAccess;
}  // namespace internal

namespace fs {

struct TemporaryOptions {
  std::string directory;         // empty: see above
  std::string prefix = "weft-";  // of the directory's name
};

// Opens a new file, to be read and written by its owner only, that has no name. It is gone when it is closed, also
// after a crash. Its path() is that of the directory it is in. (O_TMPFILE; where the file system has none, a name is
// created and removed at once: a crash between the two leaves it, and if it cannot be removed, the error has its path.)
Task<absl::StatusOr<File>> OpenTemporaryFile(TemporaryOptions options = {});

// A directory that only its owner may enter. Owns the directory and everything in it.
//
// The destructor removes it as RemoveAll() would, on the OS thread that it runs on: when it has returned, the directory
// is gone, also when its thread is cancelled. It holds the carrier meanwhile, and has nobody to report an error to. So
// call Remove() where there is much in it: that parks the virtual thread instead. (A detached thread could remove it
// without holding the carrier; but then it would still be there when the destructor returns, and for ever when the
// runtime ends before.) In a child of fork(2), the destructor of an object that it inherited removes nothing: the
// directory is the parent's.
class TemporaryDirectory {
 public:
  static Task<absl::StatusOr<TemporaryDirectory>> Create(TemporaryOptions options = {});

  TemporaryDirectory(TemporaryDirectory&& other) noexcept
      : path_(std::exchange(other.path_, {})), forks_(other.forks_) {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept {  // removes what it had
    if (this == &other) return *this;
    RemoveNow();
    path_ = std::exchange(other.path_, {});
    forks_ = other.forks_;
    return *this;
  }
  ~TemporaryDirectory() { RemoveNow(); }

  // Absolute if TemporaryOptions::directory is. Empty after Remove(), Keep() or a move.
  const std::string& path() const noexcept { return path_; }

  // Removes it. The object must stay until the Task has ended. After a failure or a cancellation the destructor tries
  // once more. OK if it was removed, kept or moved from.
  Task<absl::Status> Remove();
  // Returns the path of the directory, which is the caller's from now on.
  std::string Keep() noexcept { return std::exchange(path_, {}); }

 private:
  friend internal::TemporaryAccess;
  explicit TemporaryDirectory(std::string path) noexcept;
  void RemoveNow() noexcept;

  std::string path_;
  uint32_t forks_;  // ForksSoFar() when it was created (lib/thread/runtime_services.h)
};

}  // namespace fs
}  // namespace weft

#endif  // WEFT_FS_TEMPORARY_H_
