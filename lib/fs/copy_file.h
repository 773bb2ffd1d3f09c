// Layer fs. How is a file copied? By the kernel, where it can; else by reading and writing.
#ifndef WEFT_LIB_FS_COPY_FILE_H_
#define WEFT_LIB_FS_COPY_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace weft::internal {

// Blocks, in the pool; stops when asked to. See fs::CopyFile().
absl::Status CopyNow(const std::string& from, const std::string& to, bool overwrite);

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_COPY_FILE_H_
