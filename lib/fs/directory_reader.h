// Layer fs. How are the entries of a directory read, many at a time?
//
//   DirectoryReader reader(32 << 10);
//   while (!reader.at_end()) {
//     if (const int error = reader.Fill(fd); error != 0) ...
//     while (dirent64* entry = reader.Next()) ...         // valid until the next Fill()
//   }
//
// Unlike readdir(3), it reads no further than Fill() says, so that entries which are in memory cost no call that may
// block.
#ifndef WEFT_LIB_FS_DIRECTORY_READER_H_
#define WEFT_LIB_FS_DIRECTORY_READER_H_

#include <dirent.h>

#include <cstddef>
#include <memory>

namespace weft::internal {

class DirectoryReader {
 public:
  // `bytes`: 1 KiB at least; about 30 an entry.
  explicit DirectoryReader(size_t bytes)
      : buffer_(std::make_unique_for_overwrite<char[]>(bytes)), capacity_(bytes) {}

  // Blocks. After Next() has returned null. Reads until the buffer is full or the directory ends. Returns 0, or an
  // errno: what was read before that is there.
  int Fill(int fd) noexcept;
  // The next of what was read, without "." and ".."; null: that was all.
  dirent64* Next() noexcept;
  // Begins anew with what was read.
  void Rewind() noexcept { next_ = 0; }
  // Has Fill() seen the end?
  bool at_end() const noexcept { return at_end_; }

 private:
  std::unique_ptr<char[]> buffer_;
  size_t capacity_;
  size_t filled_ = 0;
  size_t next_ = 0;
  bool at_end_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_FS_DIRECTORY_READER_H_
