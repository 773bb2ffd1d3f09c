// Layer fs. How does a File come from a file that was opened, and how do its functions come to that?
#ifndef WEFT_LIB_FS_FILE_ACCESS_H_
#define WEFT_LIB_FS_FILE_ACCESS_H_

#include <memory>
#include <utility>

#include "lib/fs/open_file.h"
#include "weft/fs/file.h"
#include "weft/internal/check.h"

namespace weft::internal {

struct FileAccess {
  static fs::File Make(std::shared_ptr<OpenFile> file) noexcept { return fs::File(std::move(file)); }
  // For a call that goes on after the File is gone. CHECKs that it was not moved from.
  static std::shared_ptr<OpenFile> Share(const fs::File& file, const char* what) noexcept {
    WEFT_CHECK(file.file_.get() != nullptr) << what << " on a File that was moved from";
    return file.file_.get();
  }
};

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_FILE_ACCESS_H_
