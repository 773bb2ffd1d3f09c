// Goal: what Weft reads into begins with a cache line, whoever asks for it. Method: a stream and system calls that note
// where they were to read into.
#include "weft/io/aligned_bytes.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "tests/fs/scratch.h"
#include "weft/fs/contents.h"
#include "weft/fs/path.h"
#include "weft/io/buffer.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/copy.h"
#include "weft/runtime.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

std::vector<uintptr_t> read_into;

// Buffers only: the runtime reads eight bytes of an eventfd.
void Note(const void* buffer, size_t size) {
  if (size >= 1024) read_into.push_back(reinterpret_cast<uintptr_t>(buffer));
}

void ExpectAligned() {
  EXPECT_FALSE(read_into.empty());
  for (const uintptr_t address : read_into) EXPECT_EQ(address % 64, 0u);
  read_into.clear();
}

// Has nothing to read.
struct Noted {
  Task<absl::StatusOr<size_t>> Read(MutableBuffer buffer) {
    Note(buffer.data(), buffer.size());
    co_return 0;
  }
  Task<absl::Status> Write(ConstBuffer) { co_return absl::OkStatus(); }
};

TEST(AlignedBytesTest, MemoryOfEverySizeIsAligned) {
  for (const size_t size : {0, 1, 63, 4096, 1 << 20}) {
    const io::AlignedBytes bytes = io::AllocateAligned(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.get()) % 64, 0u);
  }
}

TEST(AlignedBytesTest, MoreThanThereCanBeIsNoMemory) {
  for (const size_t more : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, SIZE_MAX / 2}) {
    EXPECT_EQ(io::AllocateAligned(SIZE_MAX - more), nullptr) << more;
  }
}

TEST(AlignedBytesTest, ReadersAndCopiesReadIntoAlignedMemory) {
  (*Runtime::Create())->Run([]() -> Task<void> {
    io::BufferedReader reader(Noted{});
    EXPECT_FALSE((co_await reader.ReadUntil(';')).ok());
    ExpectAligned();
    Noted from, to;
    EXPECT_TRUE((co_await io::Copy(from, to)).ok());
    ExpectAligned();
  }());
}

TEST(AlignedBytesTest, FilesAreReadIntoAlignedMemory) {
  const Scratch scratch;
  internal::Syscalls noting = internal::RealSyscalls();
  noting.pread = [](int fd, void* buffer, size_t size, off_t offset) {
    Note(buffer, size);
    return internal::RealSyscalls().pread(fd, buffer, size, offset);
  };
  noting.read = [](int fd, void* buffer, size_t size) {
    Note(buffer, size);
    return internal::RealSyscalls().read(fd, buffer, size);
  };
  noting.copy_file_range = [](int, off_t*, int, off_t*, size_t, unsigned) -> ssize_t {
    errno = EXDEV;
    return -1;
  };
  const std::string content(300'000, 'x');
  (*Runtime::Create())->Run([&]() -> Task<void> {
    EXPECT_TRUE((co_await fs::WriteFile(scratch / "a", content)).ok());
    const internal::ScopedSyscalls noted(noting);
    read_into.clear();
    EXPECT_EQ((co_await fs::ReadFile(scratch / "a")).value(), content);
    ExpectAligned();
    EXPECT_TRUE((co_await fs::CopyFile(scratch / "a", scratch / "b")).ok());
    ExpectAligned();
  }());
}

}  // namespace
}  // namespace weft::testing
