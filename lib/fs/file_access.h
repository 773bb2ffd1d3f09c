// Layer fs. How does a File come from a file that was opened?
#ifndef WEFT_LIB_FS_FILE_ACCESS_H_
#define WEFT_LIB_FS_FILE_ACCESS_H_

#include <memory>
#include <utility>

#include "lib/fs/open_file.h"
#include "weft/fs/file.h"

namespace weft::internal {

struct FileAccess {
  static fs::File Make(std::shared_ptr<OpenFile> file) noexcept { return fs::File(std::move(file)); }
};

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_FILE_ACCESS_H_
