// What a file system knows of a file besides its contents. FileInfo: what it tells, which File::Stat() and fs::Stat()
// return. FileTimes: what it can be told, which File::SetTimes() and fs::SetTimes() take.
#ifndef WEFT_FS_FILE_INFO_H_
#define WEFT_FS_FILE_INFO_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace weft::fs {

enum class FileType : uint8_t {
  kRegular,
  kDirectory,
  kSymbolicLink,
  kPipe,
  kSocket,
  kCharacterDevice,
  kBlockDevice,
  kUnknown,
};

// As stat(2) tells it.
struct FileInfo {
  FileType type = FileType::kUnknown;
  uint32_t permissions = 0;  // the bits of chmod(2): 07777 at most
  uint64_t size = 0;         // in bytes; of a symbolic link, the length of its target
  uint64_t allocated = 0;    // bytes on the medium: fewer than `size` if the file has holes
  uint64_t links = 0;        // names of it
  uint32_t owner = 0;
  uint32_t group = 0;
  // Two files are the same if both are equal.
  uint64_t device = 0;
  uint64_t inode = 0;
  absl::Time accessed;
  absl::Time modified;  // its contents
  absl::Time changed;   // its contents, or anything that is here
};

// A time that is empty stays as it is. A file system keeps a time in steps of its own, of 1 ns to 2 s, and in a range
// of its own: what is outside becomes the nearest that it can keep. One that is infinite is EINVAL.
struct FileTimes {
  std::optional<absl::Time> accessed = std::nullopt;
  std::optional<absl::Time> modified = std::nullopt;
};

}  // namespace weft::fs

#endif  // WEFT_FS_FILE_INFO_H_
