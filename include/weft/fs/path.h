// What is done to files by their names.
//
//   if (absl::Status done = co_await fs::CreateDirectories("out/pages"); !done.ok()) co_return done;
//   absl::StatusOr<bool> there = co_await fs::Exists("out/pages/1.html");
//   co_return co_await fs::Rename("draft.html", "out/pages/1.html");
//
// Each is one call on the runtime's pool (weft/blocking.h): the virtual thread is parked, no carrier is held. Paths are
// copied, and looked up from the process's current directory when the call is made. A path with a zero in it is EINVAL.
//
// Errors are absl::Status, with the errno as a payload (weft/errno.h), the call and the path in the message.
//
// Cancellation: each is a checkpoint. One that is queued is withdrawn; one that has begun is awaited, and its result is
// delivered. CopyFile() and RemoveAll(), which may take long, stop early.
//
// A new name, or one that is gone, is durable when its directory was synced: File::Open() the directory, and Sync() it.
#ifndef WEFT_FS_PATH_H_
#define WEFT_FS_PATH_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/fs/file_info.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::fs {

struct StatOptions {
  bool follow_links = true;  // false: of a symbolic link itself
};

Task<absl::StatusOr<FileInfo>> Stat(TextView path, StatOptions options = {});

// False: there is none of that name, or the link leads nowhere. Any other error says nothing about it, and is returned.
Task<absl::StatusOr<bool>> Exists(TextView path);

// Gives it another name, in the same file system (else EXDEV). Replaces a file of that name at once: everybody sees one
// of the two.
Task<absl::Status> Rename(TextView from, TextView to);

// Removes a file, a link itself, or an empty directory.
Task<absl::Status> Remove(TextView path);

// Removes it and everything below. OK if it is not there. It follows no link: what a directory is replaced by meanwhile
// is not entered. It stops at the first error, or when its thread is asked to end, and what is removed by then stays
// removed. Any depth; at most four descriptors. A directory that somebody moves away meanwhile is ESTALE.
Task<absl::Status> RemoveAll(TextView path);

struct DirectoryOptions {
  uint32_t permissions = 0777;  // the process's umask takes bits away
};

// EEXIST if the name is there.
Task<absl::Status> CreateDirectory(TextView path, DirectoryOptions options = {});
// Same, and those above it. OK if it is there, and a directory.
Task<absl::Status> CreateDirectories(TextView path, DirectoryOptions options = {});

struct CopyOptions {
  bool overwrite = false;  // false: EEXIST if the name is there
};

// Copies a regular file: contents and permissions, less the umask. A file that is overwritten passes on its own and its
// group, as with WriteFileAtomically(). Everybody sees nothing or the old file, and then the whole copy: it is written
// under a name by chance, as that does. After a failure or a cancellation nothing is left of it. Not synced. The kernel
// copies (copy_file_range(2)), and shares the blocks where the file system can; where it cannot copy, the bytes are
// read and written. Holes may be filled. It looks every 4 MiB whether its thread is asked to end.
Task<absl::Status> CopyFile(TextView from, TextView to, CopyOptions options = {});

// Where a symbolic link leads. EINVAL if it is none.
Task<absl::StatusOr<std::string>> ReadLink(TextView path);
// Makes `path` a link to `target`, which need not be there.
Task<absl::Status> CreateSymbolicLink(TextView target, TextView path);

}  // namespace weft::fs

#endif  // WEFT_FS_PATH_H_
