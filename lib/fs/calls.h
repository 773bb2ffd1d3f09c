// Layer fs. What are the functions made of that run in the pool?
//
// They are plain functions that block, on an OS thread that is no carrier: no virtual thread is current, nothing
// suspends. They return an absl::Status or an absl::StatusOr. What they open, an object owns, so that nothing is left
// on any path. One that may take long calls IsToStop() now and then, and returns Stopped().
#ifndef WEFT_LIB_FS_CALLS_H_
#define WEFT_LIB_FS_CALLS_H_

#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weft/blocking.h"
#include "weft/fs/file_info.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft::internal {

// What is moved in one call, and between two looks whether to stop: a few milliseconds.
inline constexpr size_t kMaxFileBytesAtOnce = size_t{4} << 20;

// "<what> <path>: <text> (<NAME>)", as ErrnoToStatus(). OK for 0.
absl::Status PathStatus(int error, absl::string_view what, absl::string_view path);
// EINVAL if the kernel would see only a part of it.
absl::Status CheckPath(absl::string_view what, const std::string& path);

// function() until it does not say EINTR.
template <class F>
auto Retry(F function) {
  while (true) {
    const auto result = function();
    if (result >= 0 || errno != EINTR) return result;
  }
}
// The same for a call that returns 0: its errno, or 0.
template <class F>
int ErrnoOfCall(F function) {
  return Retry(function) < 0 ? errno : 0;
}

// Owns a descriptor. The destructor closes it.
class UniqueDescriptor {
 public:
  UniqueDescriptor() noexcept = default;
  explicit UniqueDescriptor(int fd) noexcept : fd_(fd) {}
  UniqueDescriptor(UniqueDescriptor&& other) noexcept : fd_(other.Release()) {}
  UniqueDescriptor& operator=(UniqueDescriptor&& other) noexcept {
    if (this == &other) return *this;
    Close();
    fd_ = other.Release();
    return *this;
  }
  ~UniqueDescriptor() { Close(); }

  int get() const noexcept { return fd_; }
  int Release() noexcept { return std::exchange(fd_, -1); }
  // The errno of close(2), or 0.
  int Close() noexcept;

 private:
  int fd_ = -1;
};

// openat(2) with O_CLOEXEC. Does not wait for the other end of a pipe. -1 and errno on failure.
int OpenAt(int directory, const char* path, int flags, uint32_t permissions = 0) noexcept;
// Same, from the current directory.
absl::StatusOr<UniqueDescriptor> OpenPath(const std::string& path, int flags, uint32_t permissions = 0);
// Writes all of `data` where the descriptor is. Waits while a pipe is full. Stops when asked to.
absl::Status WriteAll(int fd, ConstBuffer data, const std::string& path);

fs::FileInfo InfoOf(const struct stat& status);
fs::FileType TypeOf(uint32_t mode) noexcept;
// As utimensat(2) takes them. Returns 0, or EINVAL.
int TimesOf(const fs::FileTimes& times, timespec (&result)[2]) noexcept;
// EINVAL for bits that chmod(2) would ignore; or 0.
int CheckPermissions(uint32_t permissions) noexcept;
// Fills the string with hexadecimal digits by chance. Returns 0, or an errno.
int FillByChance(std::string& digits, size_t count);

// ---- To stop early.

// Is the thread that awaits the function asked to end?
bool IsToStop() noexcept;
// What a function returns that has stopped for that.
absl::Status Stopped();
bool IsStopped(const absl::Status& status);
template <class T>
bool IsStopped(const absl::StatusOr<T>& result) {
  return IsStopped(result.status());
}

// Awaits function() in the pool. One that has stopped ends here: its thread is cancelled.
template <class F>
Task<std::invoke_result_t<F&>> InPool(F function) {
  std::invoke_result_t<F&> done = co_await Blocking([&function] { return function(); });
  if (IsStopped(done)) co_await CheckpointAwaiter();
  co_return done;
}

// Same, of function(path).
template <class F>
Task<std::invoke_result_t<F&, const std::string&>> OnPath(const char* what, std::string path, F function) {
  using Result = std::invoke_result_t<F&, const std::string&>;
  Result done = co_await Blocking([&]() -> Result {
    if (absl::Status checked = CheckPath(what, path); !checked.ok()) return checked;
    return function(std::as_const(path));
  });
  if (IsStopped(done)) co_await CheckpointAwaiter();
  co_return done;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_CALLS_H_
