// Whole files: read one, write one, replace one so that a crash leaves the old contents or the new.
//
//   absl::StatusOr<std::string> text = co_await fs::ReadFile("in.txt");
//   if (!text.ok()) co_return text.status();
//   co_return co_await fs::WriteFileAtomically("out.txt", *text);
//
// Each is one call on the runtime's pool (weft/blocking.h): the virtual thread is parked, no carrier is held. Paths are
// copied; `data` must stay until the Task has ended. A path with a zero in it is EINVAL.
//
// Errors are absl::Status, with the errno as a payload (weft/errno.h), the call and the path in the message.
//
// Cancellation: each is a checkpoint. One that is queued is withdrawn. One that has begun looks every 4 MiB whether its
// thread is asked to end, and stops then; what it has done by then, each function says. The descriptors are closed.
#ifndef WEFT_FS_CONTENTS_H_
#define WEFT_FS_CONTENTS_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/buffer.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::fs {

struct ReadFileOptions {
  // What is longer is kResourceExhausted, and its bytes are not kept. A limit, because the length is not ours: a file
  // may grow, and one like /dev/zero has no end.
  uint64_t max_bytes = uint64_t{1} << 30;
};

// Reads all of it, also if its size is not known before, as in /proc. EISDIR for a directory, ESPIPE for a pipe or a
// terminal.
Task<absl::StatusOr<std::string>> ReadFile(TextView path, ReadFileOptions options = {});

struct WriteFileOptions {
  uint32_t permissions = 0666;  // of a file that is created; the process's umask takes bits away
};

// Makes `data` its contents, in place: it is created, or cut to nothing and written. Other processes can see a part,
// and a failure or a cancellation leaves one. A pipe or a terminal is waited for while it is full. A pipe
// whose reader has left is EPIPE, and no SIGPIPE: the process ignores that from then on. (weft/io/pipe.h)
Task<absl::Status> WriteFile(TextView path, ConstBuffer data, WriteFileOptions options = {});

// Writes `data` at its end, and creates it if it is not there. A failure or a cancellation may leave a part.
Task<absl::Status> AppendFile(TextView path, ConstBuffer data, WriteFileOptions options = {});

struct WriteAtomicallyOptions {
  uint32_t permissions = 0666;  // of a file that was not there; the process's umask takes bits away
  bool sync = true;             // false: whole or not at all for other processes, but not after a crash
};

// Replaces the file: everybody sees the old contents or the new, and so does who looks after a crash. When it has
// succeeded, the new contents are on the medium. After a failure or a cancellation the old file is as it was, and
// nothing else is left. (One exception: the last step, to make the new name durable, fails. Then the new contents are
// there, may be gone after a crash, and the message says so.)
//
// A file that was there passes on its permissions and its group; its owner, further names and extended attributes are
// not kept. Access does not become wider: where the group cannot be kept (fchown(2)), or there is an ACL, the group and
// the others may do what both might. The entries of an ACL are lost, also those that forbid.
// A symbolic link is replaced, not what it leads to. The directory must be readable and writable.
//
// How: a file with a name by chance, ".<name>.<16 digits>.tmp" (of a long name its beginning), is created in the same
// directory, written and synced; then it is renamed, and the directory is synced. A crash may leave that file, and so
// may a file system that has begun to fail, and does not remove it. (What SQLite, git and others do.)
Task<absl::Status> WriteFileAtomically(TextView path, ConstBuffer data, WriteAtomicallyOptions options = {});

}  // namespace weft::fs

#endif  // WEFT_FS_CONTENTS_H_
