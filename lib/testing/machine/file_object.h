// Layer testing. What can be done with an open file or directory of the machine?
//
// Its functions are system calls: they return what these return, with the errno as a negative number in place of -1.
// One that was opened with O_PATH says EBADF to all but Stat(). What begins at a path, the FileSystem does.
//
// read(2) and write(2) move a part of what they could, if chance says so (Chance::Part).
//
// Lifetime: that of the machine at most.
#ifndef WEFT_LIB_TESTING_MACHINE_FILE_OBJECT_H_
#define WEFT_LIB_TESTING_MACHINE_FILE_OBJECT_H_

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lib/testing/machine/disk.h"
#include "lib/testing/machine/inode.h"
#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

class FileObject final : public OpenObject {
 public:
  // `path`: for Describe().
  FileObject(Disk& disk, std::shared_ptr<Inode> inode, std::string path, int flags);
  // Also gives back the lock.
  ~FileObject() override;

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
  // fsync(2) and fdatasync(2); journal.h says what that means.
  // `fault`: 0, or the negative errno with which it is to fail.
  int Sync(int fault = 0);
  int Truncate(int64_t size);
  // `mode`: 0, or FALLOC_FL_KEEP_SIZE.
  int Allocate(int mode, int64_t offset, int64_t size);
  // flock(2). A lock that has to be waited for, without LOCK_NB, is misuse: nobody else would run meanwhile.
  int Lock(int operation);
  int ChangeMode(mode_t mode);
  int SetTimes(const timespec times[2]);  // futimens(3)
  // lseek(2), which knows no holes here. The place of a directory is that of an entry.
  int64_t Seek(int64_t offset, int whence);
  int64_t ReadDirectory(void* buffer, size_t size);  // getdents64(2)
  // copy_file_range(2). Null: at the place where the descriptor stands.
  int64_t CopyTo(int64_t* offset, FileObject& to, int64_t* to_offset, size_t size);

  // ---- For the FileSystem.

  const std::shared_ptr<Inode>& inode() const noexcept { return inode_; }
  const std::string& path() const noexcept { return path_; }

 private:
  bool IsPathOnly() const noexcept;
  // Writes at `offset`, or at the end; it is behind what is written, then.
  int64_t WriteFrom(Parts from, int64_t& offset, bool append);
  void SetAccessed() noexcept;

  Disk& disk_;
  const std::shared_ptr<Inode> inode_;
  const std::string path_;
  int64_t position_ = 0;       // of a directory: the place of the entry that was read last
  uint64_t readable_age_ = 0;  // of a directory: younger entries are not read
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_FILE_OBJECT_H_
