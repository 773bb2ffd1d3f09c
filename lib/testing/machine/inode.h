// Layer testing. What is a file of the machine, without its names?
//
// It lives as long as a directory has it as an entry, at present or on the disk, or somebody has it open.
#ifndef WEFT_LIB_TESTING_MACHINE_INODE_H_
#define WEFT_LIB_TESTING_MACHINE_INODE_H_

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <memory>
#include <string>

#include "lib/testing/machine/contents.h"
#include "lib/testing/machine/directory.h"
#include "lib/testing/machine/flock.h"

namespace weft::internal::machine {

// Since 1970, in nanoseconds.
struct FileTimes {
  int64_t accessed = 0;
  int64_t modified = 0;
  int64_t changed = 0;
};

struct Inode {
  // What fsync(2) brings to the disk, but for a directory's entries.
  struct State {
    mode_t mode = 0;
    FileTimes times;
    Contents contents;  // of a regular file
  };

  Inode(uint64_t own_number, mode_t mode, int64_t now_ns)
      : number(own_number), state{mode, {now_ns, now_ns, now_ns}, {}}, durable(state) {
    if (S_ISDIR(mode)) directory = std::make_unique<Directory>();
  }

  bool IsDirectory() const noexcept { return directory != nullptr; }
  bool IsLink() const noexcept { return S_ISLNK(state.mode); }
  bool IsFile() const noexcept { return S_ISREG(state.mode); }
  bool IsSocket() const noexcept { return S_ISSOCK(state.mode); }

  void SetModified(int64_t now_ns) noexcept { state.times.modified = state.times.changed = now_ns; }
  void ChangeMode(mode_t mode, int64_t now_ns) noexcept {
    state.mode = (state.mode & S_IFMT) | (mode & 07777);
    state.times.changed = now_ns;
  }
  // As utimensat(2), with 0 or a negative errno. A time is at most the nearest that FileTimes can hold.
  int SetTimes(const timespec times[2], int64_t now_ns) noexcept;

  const uint64_t number;                 // never that of another
  State state;
  State durable;                         // on the disk
  std::string target;                    // of a symbolic link
  std::unique_ptr<Directory> directory;  // of a directory
  uint64_t links = 0;
  uint64_t opened = 0;    // open files that it has
  bool linkable = false;  // it may get a name although it has none: O_TMPFILE
  Flock lock;
};

// utimensat(2) and futimens(3) look at nothing then, not even whether there is a file.
bool SetsNothing(const timespec times[2]) noexcept;

// fstat(2).
void FillStat(const Inode& inode, struct stat& result);

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_INODE_H_
