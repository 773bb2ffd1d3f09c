// Layer testing. What of the machine's files is on its disk, when the power goes?
//
// As of a careful reading of what Linux promises, a little less than what ext4 does:
//
//  * fsync(2) of a file brings its bytes, size, permissions and times to the disk. What was done to it since is lost. A
//    file that was never synced, but has a name on the disk, is empty.
//  * An fsync(2) of a file that fails with EIO may lose any page of 4 KiB that it had to bring: what the file has at
//    present stays readable, and counts as clean, so that no later fsync brings it until it is written again. Of such a
//    page the disk keeps what it had.
//  * fsync(2) of a directory brings its entries to the disk: creations, renames and unlinks in it since its last fsync
//    are undone. The fsync of a file brings none of its names there, nor that of a directory its own.
//  * A symbolic link and a socket file come to the disk with their name.
//  * A rename from one directory to another is one step: it is on the disk wholly, or not at all. It comes there with
//    the first fsync of one of the two directories; as in a journal, all else that has been done to directories comes
//    with it. (The file would be lost otherwise, or a directory be in itself.) Whoever removes one of the two
//    meanwhile, has the directory in which it was take its part.
//
// What a disk may do besides, write early what nobody has synced, it never does: that would hide a missing fsync.
#ifndef WEFT_LIB_TESTING_MACHINE_JOURNAL_H_
#define WEFT_LIB_TESTING_MACHINE_JOURNAL_H_

#include <memory>

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/contents.h"
#include "lib/testing/machine/inode.h"

namespace weft::internal::machine {

// ---- What the tree's changes tell.

// Something was renamed from `from` to `to`.
inline void NoteMove(Inode& from, Inode& to) noexcept {
  if (&from != &to) from.directory->moved = to.directory->moved = true;
}

// `directory` was removed from `parent`.
inline void NoteRemoval(const Inode& directory, Inode& parent) noexcept {
  if (directory.directory->moved) parent.directory->moved = true;
}

// ---- fsync(2), and the loss of power.

// `root`: of the tree that `inode` is in.
void SyncInode(Inode& inode, Inode& root);

// As one that fails with EIO.
void FailToSync(Inode& inode, Chance& chance);

// Makes everything below `root` what is on the disk. Nothing may be open.
void LosePower(const std::shared_ptr<Inode>& root, Space& space, Chance& chance);

// Takes the tree apart, which could hold itself otherwise: at present, a directory may be in one that it has on the
// disk.
void TakeApart(const std::shared_ptr<Inode>& root);

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_JOURNAL_H_
