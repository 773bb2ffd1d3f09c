// Layer testing. What is on the machine's disk?
//
// A tree of directories, files, symbolic links and socket files, in memory. It outlives simulations: a program that is
// started anew on the same machine finds what it has left.
//
// The functions are system calls: they return what these return, with the errno as a negative number in place of -1.
// `from` is the directory that a path which does not begin with '/' begins at; null: AT_FDCWD, which is the root.
// Programs run as root: permissions are kept, and refuse nothing.
#ifndef WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_
#define WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/open_object.h"
#include "lib/testing/machine/wire.h"

namespace weft::internal::machine {

struct Inode;

// An open file or directory. What is not here, the FileSystem does.
class FileObject final : public OpenObject {
 public:
  std::string Describe() const override;
  FileObject* AsFile() noexcept override { return this; }
  uint32_t Readiness() const noexcept override;
  bool CanBeWatched() const noexcept override { return false; }
  int64_t Read(Parts into) override;
  int64_t Write(Parts from) override;
  int Stat(struct stat& result) override;

  int64_t ReadAt(Parts into, int64_t offset);
  // `append`: RWF_APPEND.
  int64_t WriteAt(Parts from, int64_t offset, bool append);
  int Sync();
  int Truncate(int64_t size);
  int Allocate(int mode, int64_t offset, int64_t size);
  int Lock(int operation);  // flock(2)
  int ChangeMode(mode_t mode);
  int64_t ReadDirectory(void* buffer, size_t size);  // getdents64(2)
};

class FileSystem {
 public:
  FileSystem(Chance& chance, const Wire& wire, uint64_t capacity_bytes);
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
  int64_t CopyRange(FileObject& from, int64_t* from_offset, FileObject& to, int64_t* to_offset, size_t size);

  // For bind(2) and connect(2) of Unix sockets: the number of the socket file, which names it; or a negative errno.
  int64_t MakeSocketFile(const char* path);
  int64_t FindSocketFile(const char* path);

  // The machine loses its power: what no fsync(2) has brought to the disk is gone.
  void LosePower();
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_FILE_SYSTEM_H_
