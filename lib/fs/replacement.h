// Layer fs. How does a file come to be whole, or not at all?
//
//   absl::StatusOr<Replacement> file = Replacement::Create("dir/name", 0666);
//   ... write to file->fd() ...
//   return file->Commit({.overwrite = true, .sync = true});
//
//   step          leaves                                      if the function returns before the next
//   Create()      dir/.name.<by chance>.tmp, empty            the destructor unlinks it
//   writes        the same, with contents                     the same
//   Commit():
//     sync, close the same, on the medium                     the same
//     rename      dir/name, as a whole                        it is there
//     sync        the name on the medium
//
// Names are looked up from a descriptor of the directory, so that all steps are in one directory even if it is renamed.
// Blocks; for the functions that run in the pool.
#ifndef WEFT_LIB_FS_REPLACEMENT_H_
#define WEFT_LIB_FS_REPLACEMENT_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/fs/calls.h"

namespace weft::internal {

class Replacement {
 public:
  // The file gets the group and the permissions of the regular file that is there, or else these, less the umask. If
  // the group cannot be had, or one of the two files has an ACL, less of them (weft/fs/contents.h).
  static absl::StatusOr<Replacement> Create(const std::string& path, uint32_t permissions);
  Replacement(Replacement&&) noexcept = default;
  Replacement& operator=(Replacement&&) = delete;
  ~Replacement();

  int fd() const noexcept { return file_.get(); }

  struct Options {
    bool overwrite;
    bool sync;
  };
  // Once.
  absl::Status Commit(Options options);

 private:
  explicit Replacement(const std::string& path) : path_(path) {}
  absl::Status CreateTemporary(uint32_t permissions);
  absl::Status TakeAccess(const struct stat& old);
  // Gives it its name. Returns the errno, or 0.
  int Name(bool overwrite) noexcept;

  std::string path_;
  UniqueDescriptor directory_;  // none: moved from
  std::string name_;
  UniqueDescriptor file_;
  std::string temporary_;  // empty: there is none
};

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_REPLACEMENT_H_
