// Layer fs. How is a tree removed, of any depth, while others may change it?
//
// From the directory that the removal is in, by descriptors: a name is removed from the directory that was opened, and
// a directory is opened only if it is none that a link leads to (O_NOFOLLOW). So nobody can lead the removal out of the
// tree. (CVE-2022-21658 was one that could be led.)
//
// One directory is open at a time, beside the one that the root is in. The way up is "..", which must be the directory
// that the way down came from, by device and inode: one that was moved away meanwhile is ESTALE. So a level costs the
// same at any depth. After the way up come the directories that were read there before, by their names, up to 1,000;
// then the entries are read anew, from the first: those that were removed are not seen again.
//
// A directory that cannot be removed when its entries are is entered again, 20 times at most. Rejected: as long as
// something was removed. Entries that are stale are listed and cannot be found, as if others were faster; and where a
// file is open, libfuse's unlink(2) succeeds and gives it another name. So it would go on for ever.
//
// Rejected: to read them anew after each directory, and keep no names. A file system goes over what was removed: with
// 20,000 directories in one, getdents64(2) took 2.3 s on ext4, and with 40,000 9.5 s, in place of 0.04 s each.
#ifndef WEFT_LIB_FS_REMOVE_ALL_H_
#define WEFT_LIB_FS_REMOVE_ALL_H_

#include <string>

#include "absl/status/status.h"

namespace weft::internal {

// Blocks. OK if there is nothing of that name. `may_stop`: in the pool, it stops when asked to.
absl::Status RemoveTree(const std::string& path, bool may_stop);

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_REMOVE_ALL_H_
