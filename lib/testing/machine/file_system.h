// Layer testing. What is on the machine's disk?
//
// A tree of directories, files, symbolic links and socket files, in memory. It outlives simulations: a program that is
// started anew on the same machine finds what it has left. At first there is "/tmp", for all.
//
//   FileSystem files(chance, wire, /*capacity_bytes=*/uint64_t{1} << 30);
//   std::shared_ptr<OpenObject> file;
//   files.Open(nullptr, "/tmp/log", O_WRONLY | O_CREAT, 0600, file);  // 0
//   file->Write(parts);                                               // the bytes
//   files.Unlink(nullptr, "/tmp/logs", 0);                            // -ENOENT
//
// The functions are system calls: they return what these return, with the errno as a negative number in place of -1.
// They behave as those of Linux on a local file system, to the order in which they find fault: the test makes the same
// calls of both. `from` is the directory that a path which does not begin with '/' begins at; null: AT_FDCWD, which is
// the root.
//
// What differs, or is chosen where Linux leaves the choice:
//  * Programs run as root: permissions are kept, and refuse nothing. The umask is 022.
//  * There are no devices, pipes or other file systems; a rename never says EXDEV.
//  * Only the pages of files take space, 4096 bytes each; names and directories take none.
//  * A directory lists its entries in an order by chance.
//  * ".." of a directory that was removed, after the one that it was in was removed and closed as well, is ENOENT.
//  * renameat2(2) knows RENAME_NOREPLACE only.
//  * A time is within 292 years of 1970.
//
// LosePower() takes away what fsync(2) has not brought to the disk: journal.h says what that is.
//
// Cost: a call looks up each name of its path, in O(log entries). fsync(2) of a directory copies its names.
// Callers: one OS thread at a time.
#ifndef WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_
#define WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/disk.h"
#include "lib/testing/machine/file_object.h"
#include "lib/testing/machine/inode.h"
#include "lib/testing/machine/open_object.h"
#include "lib/testing/machine/path_walk.h"
#include "lib/testing/machine/wire.h"

namespace weft::internal::machine {

class FileSystem {
 public:
  // `chance` and `wire` must outlive it.
  FileSystem(Chance& chance, const Wire& wire, uint64_t capacity_bytes);
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  // Nothing may be open.
  ~FileSystem();

  // 0 and the file, or an errno.
  int Open(FileObject* from, const char* path, int flags, mode_t mode, std::shared_ptr<OpenObject>& opened);
  int Stat(FileObject* from, const char* path, struct stat& result, int flags);
  int Unlink(FileObject* from, const char* path, int flags);
  int Rename(FileObject* from, const char* path, FileObject* to, const char* new_path, unsigned flags);
  int Link(FileObject* from, const char* path, FileObject* to, const char* new_path, int flags);
  int MakeDirectory(FileObject* from, const char* path, mode_t mode);
  int MakeSymbolicLink(const char* target, FileObject* from, const char* path);
  int64_t ReadLink(FileObject* from, const char* path, char* buffer, size_t size);
  int ChangeMode(FileObject* from, const char* path, mode_t mode, int flags);
  int SetTimes(FileObject* from, const char* path, const timespec times[2], int flags);
  // realpath(3), as far as it looks at files.
  int RealPath(const char* path, std::string& whole);
  int StatDisk(const char* path, struct statvfs& result);  // statvfs(3)

  // For bind(2) and connect(2) of Unix sockets: the number of the socket file, which names it for good; or a negative
  // errno, as these say it: EADDRINUSE if there is something of that name, ECONNREFUSED if it is no socket file.
  int64_t MakeSocketFile(const char* path);
  int64_t FindSocketFile(const char* path);

  // The machine loses its power: what no fsync(2) has brought to the disk is gone. Nothing may be open.
  void LosePower();

 private:
  PathWalk WalkFrom(FileObject* from, const char* path) const;
  // What a path leads to. `flags`: AT_EMPTY_PATH.
  int Find(FileObject* from, const char* path, bool follow, int flags, std::shared_ptr<Inode>& found) const;
  // For Open(): finds the file, or creates it, and says whether it did.
  int FindOrCreate(PathWalk& walk, int flags, mode_t mode, std::shared_ptr<Inode>& found, bool& created);
  int OpenNode(PathWalk& walk, int flags, mode_t mode, std::shared_ptr<Inode>& found);
  int MakeUnnamed(PathWalk& walk, mode_t mode, std::shared_ptr<Inode>& made);

  void Enter(const std::shared_ptr<Inode>& directory, const std::string& name, const std::shared_ptr<Inode>& inode);
  // Takes the name from `inode`, which still is the entry.
  void Leave(Inode& directory, Inode& inode);
  // As Leave(), but to be gone.
  void Remove(Inode& directory, Inode& inode);

  Disk disk_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_
