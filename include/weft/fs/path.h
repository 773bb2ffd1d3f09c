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
// removed. Any depth; at most four descriptors. A directory that somebody moves away meanwhile is ESTALE. One that was
// emptied 20 times in a row and is still there is what the kernel says, mostly ENOTEMPTY: its entries are stale, or
// open (some file systems rename those), or somebody creates new ones.
Task<absl::Status> RemoveAll(TextView path);

struct DirectoryOptions {
  uint32_t permissions = 0777;  // the process's umask takes bits away
};

// EEXIST if the name is there.
Task<absl::Status> CreateDirectory(TextView path, DirectoryOptions options = {});
// Same, and those above it. OK if it is there, and a directory.
Task<absl::Status> CreateDirectories(TextView path, DirectoryOptions options = {});

// Sets what chmod(2) sets: 07777 at most, else EINVAL. The umask takes nothing away. Follows links, which have none of
// their own. EPERM: the file is somebody else's.
Task<absl::Status> SetPermissions(TextView path, uint32_t permissions);

struct SetTimesOptions {
  bool follow_links = true;  // false: of a symbolic link itself
};

// Sets when it was accessed and modified; when it was changed becomes now. EPERM: the file is somebody else's. With no
// time at all it does nothing, also where there is no such file.
Task<absl::Status> SetTimes(TextView path, FileTimes times, SetTimesOptions options = {});

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
// Makes `path` one more name of the file `existing`, in the same file system (else EXDEV). EEXIST if the name is there,
// EPERM if `existing` is a directory. If it is a symbolic link, the link gets the name, not what it leads to.
Task<absl::Status> CreateHardLink(TextView existing, TextView path);

// The path from the root that has no link, ".", ".." or second slash in it: realpath(3). All paths of a file have the
// same, except those that end in different names of it (CreateHardLink()). ENOENT if it is not there. It says what the
// names led to during the call: somebody may change them before it is used, so it is no check of where a file lies.
Task<absl::StatusOr<std::string>> Canonical(TextView path);

// In bytes.
struct SpaceInfo {
  uint64_t total = 0;
  uint64_t free = 0;
  uint64_t available = 0;  // of `free`, what is not kept for root
};

// What the file system has that `path` is in. A quota may leave less: a write can be EDQUOT.
Task<absl::StatusOr<SpaceInfo>> SpaceOf(TextView path);

}  // namespace weft::fs

#endif  // WEFT_FS_PATH_H_
