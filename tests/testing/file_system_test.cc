// Goal: the machine's files do what file_system.h, file_object.h and journal.h say.
// Method: one machine a test, and its calls. That they are those of Linux, file_system_kernel_test.cc shows.
#include "lib/testing/machine/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/machine_files.h"

namespace weft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kPage = 4096;

// ---- The tree.

TEST(MachineFilesTest, AtFirstThereIsADirectoryForAll) {
  Files files;
  EXPECT_THAT(files.Names("/"), ElementsAre("tmp"));
  EXPECT_EQ(files.Stat("/tmp").st_mode, mode_t{S_IFDIR | 01777});
  EXPECT_EQ(files.Stat("/").st_nlink, 3u);
  EXPECT_EQ(files.Stat("/..").st_ino, files.Stat("/").st_ino);
}

TEST(MachineFilesTest, TheUmaskIsTakenFromWhatIsCreated) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_WRONLY | O_CREAT, nullptr, 0777);
  EXPECT_EQ(files.Stat("/tmp/f").st_mode, mode_t{S_IFREG | 0755});
  EXPECT_EQ(file->ChangeMode(0666), 0);
  EXPECT_EQ(files.Stat("/tmp/f").st_mode, mode_t{S_IFREG | 0666});
  EXPECT_EQ(files.Mkdir("/tmp/d", 0777), 0);
  EXPECT_EQ(files.Stat("/tmp/d").st_mode, mode_t{S_IFDIR | 0755});
}

TEST(MachineFilesTest, ARelativePathBeginsAtTheDirectoryOrTheRoot) {
  Files files;
  files.Put("tmp/f", "text");
  EXPECT_EQ(files.Get("/tmp/f"), "text");
  const OpenFile directory = files.Open("/tmp", O_PATH);
  EXPECT_EQ(Files::Read(*files.Open("./f", O_RDONLY, directory.get()), 9), "text");
  EXPECT_EQ(Files::Read(*files.Open("/tmp/f", O_RDONLY, directory.get()), 9), "text");
  EXPECT_EQ(files.Try("f", O_RDONLY), -ENOENT);
  const OpenFile file = files.Open("/tmp/f", O_RDONLY);
  EXPECT_EQ(files.Try("f", O_RDONLY, file.get()), -ENOTDIR);
}

TEST(MachineFilesTest, PathsAndNamesHaveALimit) {
  Files files;
  EXPECT_EQ(files.Try("", O_RDONLY), -ENOENT);
  EXPECT_EQ(files.Mkdir("/tmp/" + std::string(255, 'n')), 0);
  EXPECT_EQ(files.Mkdir("/tmp/" + std::string(256, 'n')), -ENAMETOOLONG);
  std::string path = "/tmp";
  while (path.size() + 2 <= 4095) path += "/.";
  EXPECT_EQ(files.TryStat(path + std::string(4095 - path.size(), '/')), 0);
  EXPECT_EQ(files.TryStat(path + std::string(4096 - path.size(), '/')), -ENAMETOOLONG);
  EXPECT_EQ(files.Symlink("", "/tmp/l"), -ENOENT);
  EXPECT_EQ(files.Symlink(std::string(4096, 't'), "/tmp/l"), -ENAMETOOLONG);
  EXPECT_EQ(files.Symlink(std::string(4095, 't'), "/tmp/l"), 0);
}

TEST(MachineFilesTest, FortyLinksAreFollowed) {
  Files files;
  files.Put("/tmp/0", "text");
  for (int i = 1; i <= 41; ++i) {
    EXPECT_EQ(files.Symlink(std::to_string(i - 1), "/tmp/" + std::to_string(i)), 0);
  }
  EXPECT_EQ(files.Get("/tmp/40"), "text");
  EXPECT_EQ(files.Try("/tmp/41", O_RDONLY), -ELOOP);
  EXPECT_EQ(files.TryStat("/tmp/41", AT_SYMLINK_NOFOLLOW), 0);
}

TEST(MachineFilesTest, LinksLeadUpAndToTheRoot) {
  Files files;
  files.Put("/tmp/f", "text");
  EXPECT_EQ(files.Mkdir("/tmp/d"), 0);
  EXPECT_EQ(files.Symlink("../f", "/tmp/d/up"), 0);
  EXPECT_EQ(files.Symlink("/tmp", "/tmp/d/whole"), 0);
  EXPECT_EQ(files.Symlink("/", "/tmp/d/root"), 0);
  EXPECT_EQ(files.Get("/tmp/d/up"), "text");
  EXPECT_EQ(files.Get("/tmp/d/whole/f"), "text");
  EXPECT_EQ(files.Get("/tmp/d/root/tmp/d/../f"), "text");
  EXPECT_EQ(files.Stat("/tmp/d/root/").st_ino, files.Stat("/").st_ino);
  EXPECT_EQ(files.ReadLink("/tmp/d/up"), "../f");
  EXPECT_EQ(files.ReadLink("/tmp/d/up", 2), "..");
  EXPECT_EQ(files.ReadLink("/tmp/f"), "errno " + std::to_string(EINVAL));
}

TEST(MachineFilesTest, AnEmptyPathIsWhatIsOpenIfTheFlagSaysSo) {
  Files files;
  files.Put("/tmp/f", "text");
  const OpenFile file = files.Open("/tmp/f", O_PATH);
  struct stat status;
  EXPECT_EQ(files.system().Stat(file.get(), "", status, AT_EMPTY_PATH), 0);
  EXPECT_EQ(status.st_size, 4);
  EXPECT_EQ(files.system().Stat(file.get(), "", status, 0), -ENOENT);
  EXPECT_EQ(files.system().Stat(file.get(), "", status, 1 << 30), -EINVAL);
  EXPECT_EQ(files.system().Link(file.get(), "", nullptr, "/tmp/g", AT_EMPTY_PATH), 0);
  EXPECT_EQ(files.Stat("/tmp/g").st_nlink, 2u);
  EXPECT_EQ(files.Symlink("f", "/tmp/l"), 0);
  const OpenFile link = files.Open("/tmp/l", O_PATH | O_NOFOLLOW);
  char target[8];
  EXPECT_EQ(files.system().ReadLink(link.get(), "", target, sizeof(target)), 1);
  EXPECT_EQ(files.system().ReadLink(file.get(), "", target, sizeof(target)), -ENOENT);
}

TEST(MachineFilesTest, WhatIsOpenLivesOnWithoutAName) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*file, "text"), 4);
  EXPECT_EQ(files.Unlink("/tmp/f"), 0);
  EXPECT_EQ(files.Try("/tmp/f", O_RDONLY), -ENOENT);
  EXPECT_EQ(Files::ReadAt(*file, 9, 0), "text");
  EXPECT_EQ(Files::StatOf(*file).st_nlink, 0u);
  // No way leads back.
  EXPECT_EQ(files.system().Link(file.get(), "", nullptr, "/tmp/g", AT_EMPTY_PATH), -ENOENT);
}

TEST(MachineFilesTest, ADirectoryThatIsOpenLivesOnEmpty) {
  Files files;
  EXPECT_EQ(files.Mkdir("/tmp/d"), 0);
  const OpenFile directory = files.OpenDirectory("/tmp/d");
  EXPECT_EQ(files.Rmdir("/tmp/d"), 0);
  EXPECT_EQ(Files::StatOf(*directory).st_nlink, 0u);
  EXPECT_EQ(files.Try("f", O_WRONLY | O_CREAT, directory.get()), -ENOENT);
  EXPECT_EQ(files.Try(".", O_RDONLY, directory.get()), 0);
  EXPECT_EQ(files.system().MakeDirectory(directory.get(), "e", 0777), -ENOENT);
  char buffer[100];
  EXPECT_EQ(directory->ReadDirectory(buffer, sizeof(buffer)), -ENOENT);
  const OpenFile above = files.Open("..", O_PATH, directory.get());
  EXPECT_EQ(Files::StatOf(*above).st_ino, files.Stat("/tmp").st_ino);
}

TEST(MachineFilesTest, AFileWithoutANameCanGetOne) {
  Files files;
  const OpenFile file = files.Open("/tmp", O_RDWR | O_TMPFILE);
  const OpenFile without = files.Open("/tmp", O_RDWR | O_TMPFILE | O_EXCL);
  EXPECT_THAT(files.Names("/tmp"), IsEmpty());
  EXPECT_EQ(Files::Write(*file, "text"), 4);
  EXPECT_EQ(files.system().Link(file.get(), "", nullptr, "/tmp/f", AT_EMPTY_PATH), 0);
  EXPECT_EQ(files.system().Link(without.get(), "", nullptr, "/tmp/g", AT_EMPTY_PATH), -ENOENT);
  EXPECT_EQ(files.Get("/tmp/f"), "text");
  // Once.
  EXPECT_EQ(files.Unlink("/tmp/f"), 0);
  EXPECT_EQ(files.system().Link(file.get(), "", nullptr, "/tmp/f", AT_EMPTY_PATH), -ENOENT);
  files.Put("/tmp/f", "");
  EXPECT_EQ(files.Try("/tmp", O_RDONLY | O_TMPFILE), -EINVAL);
  EXPECT_EQ(files.Try("/tmp/f", O_RDWR | O_TMPFILE), -ENOTDIR);
}

TEST(MachineFilesTest, WithOPathThereIsOnlyThePlace) {
  Files files;
  files.Put("/tmp/f", "text");
  const OpenFile file = files.Open("/tmp/f", O_PATH | O_RDWR | O_TRUNC | O_CREAT);
  EXPECT_EQ(files.Get("/tmp/f"), "text");
  EXPECT_EQ(Files::Read(*file, 1), "errno " + std::to_string(EBADF));
  EXPECT_EQ(Files::Write(*file, "t"), -EBADF);
  EXPECT_EQ(file->Sync(), -EBADF);
  EXPECT_EQ(file->Truncate(0), -EBADF);
  EXPECT_EQ(file->Allocate(0, 0, 1), -EBADF);
  EXPECT_EQ(file->Lock(LOCK_SH), -EBADF);
  EXPECT_EQ(file->ChangeMode(0), -EBADF);
  EXPECT_EQ(file->SetTimes(nullptr), -EBADF);
  EXPECT_EQ(file->Seek(0, SEEK_CUR), -EBADF);
  char buffer[100];
  EXPECT_EQ(files.Open("/tmp", O_PATH)->ReadDirectory(buffer, sizeof(buffer)), -EBADF);
}

TEST(MachineFilesTest, ARenameDoesNotReplaceIfTheFlagSaysSo) {
  Files files;
  files.Put("/tmp/f", "f");
  files.Put("/tmp/g", "g");
  EXPECT_EQ(files.Rename("/tmp/f", "/tmp/g", RENAME_NOREPLACE), -EEXIST);
  EXPECT_EQ(files.Rename("/tmp/f", "/tmp/h", RENAME_NOREPLACE), 0);
  EXPECT_EQ(files.Rename("/tmp/h", "/tmp/g", RENAME_EXCHANGE), -EINVAL);
  EXPECT_EQ(files.Rename("/tmp/h", "/tmp/g"), 0);
  EXPECT_EQ(files.Get("/tmp/g"), "f");
  EXPECT_THAT(files.Names("/tmp"), ElementsAre("g"));
}

TEST(MachineFilesTest, SocketFilesAreNamesOfSockets) {
  Files files;
  const int64_t number = files.system().MakeSocketFile("/tmp/s");
  EXPECT_GT(number, 0);
  EXPECT_EQ(files.Stat("/tmp/s").st_mode, mode_t{S_IFSOCK | 0755});
  EXPECT_EQ(files.system().MakeSocketFile("/tmp/s"), -EADDRINUSE);
  EXPECT_EQ(files.system().MakeSocketFile("/none/s"), -ENOENT);
  EXPECT_EQ(files.Symlink("s", "/tmp/l"), 0);
  EXPECT_EQ(files.system().FindSocketFile("/tmp/l"), number);
  EXPECT_EQ(files.system().FindSocketFile("/tmp"), -ECONNREFUSED);
  EXPECT_EQ(files.system().FindSocketFile("/tmp/none"), -ENOENT);
  EXPECT_EQ(files.Try("/tmp/s", O_RDWR), -ENXIO);
  EXPECT_EQ(files.Try("/tmp/s", O_PATH), 0);
  EXPECT_EQ(files.Unlink("/tmp/s"), 0);
  EXPECT_GT(files.system().MakeSocketFile("/tmp/s"), number);
}

// ---- What is in files.

TEST(MachineFilesTest, WritesGoOnWhereTheLastOneEnded) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*file, "one "), 4);
  EXPECT_EQ(Files::WriteAt(*file, "ONE", 0), 3);
  const std::string parts[] = {"t", "", "wo"};
  iovec vector[3];
  for (int i = 0; i < 3; ++i) vector[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  EXPECT_EQ(file->Write(vector), 3);
  EXPECT_EQ(Files::Read(*file, 5), "");
  EXPECT_EQ(files.Get("/tmp/f"), "ONE two");
  const OpenFile other = files.Open("/tmp/f", O_RDONLY);
  EXPECT_EQ(Files::Read(*other, 4), "ONE ");
  EXPECT_EQ(Files::Read(*other, 4), "two");
  EXPECT_EQ(Files::Read(*other, 4), "");
}

TEST(MachineFilesTest, AppendGoesToTheEndAtAnyOffset) {
  Files files;
  files.Put("/tmp/f", "text");
  const OpenFile file = files.Open("/tmp/f", O_WRONLY | O_APPEND);
  EXPECT_EQ(Files::Write(*file, "1"), 1);
  EXPECT_EQ(Files::WriteAt(*file, "2", 0), 1);
  const OpenFile plain = files.Open("/tmp/f", O_WRONLY);
  EXPECT_EQ(Files::WriteAt(*plain, "3", 0, /*append=*/true), 1);
  EXPECT_EQ(Files::Write(*plain, "T"), 1);
  EXPECT_EQ(files.Get("/tmp/f"), "Text123");
}

TEST(MachineFilesTest, HolesTakeNoSpaceAndReadAsZeros) {
  Files files({}, 4 * kPage);
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  const int64_t far = int64_t{1} << 50;
  EXPECT_EQ(Files::WriteAt(*file, "x", far), 1);
  EXPECT_EQ(Files::StatOf(*file).st_size, far + 1);
  EXPECT_EQ(Files::StatOf(*file).st_blocks, 8);
  EXPECT_EQ(Files::ReadAt(*file, 5, far - 4), std::string(4, '\0') + "x");
  EXPECT_EQ(Files::ReadAt(*file, 3, 77), std::string(3, '\0'));
}

TEST(MachineFilesTest, WhatIsCutOffIsZerosWhenTheFileGrowsAgain) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*file, std::string(2 * kPage, 'x')), int64_t{2 * kPage});
  EXPECT_EQ(file->Truncate(3), 0);
  EXPECT_EQ(Files::StatOf(*file).st_blocks, 8);
  EXPECT_EQ(file->Truncate(2 * kPage), 0);
  EXPECT_EQ(files.Get("/tmp/f"), "xxx" + std::string(2 * kPage - 3, '\0'));
}

TEST(MachineFilesTest, AFullDiskTakesWhatFits) {
  Files files({}, 2 * kPage);
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*file, std::string(kPage - 1, 'x')), int64_t{kPage - 1});
  EXPECT_EQ(Files::Write(*file, std::string(3 * kPage, 'y')), int64_t{kPage + 1});
  EXPECT_EQ(Files::Write(*file, "z"), -ENOSPC);
  EXPECT_EQ(Files::WriteAt(*file, "z", 0), 1);  // there is room where something is
  EXPECT_EQ(file->Allocate(0, 0, int64_t{3 * kPage}), -ENOSPC);
  const OpenFile copy = files.Open("/tmp/g", O_RDWR | O_CREAT);
  EXPECT_EQ(files.Open("/tmp/f", O_RDONLY)->CopyTo(nullptr, *copy, nullptr, 9), -ENOSPC);
  // Room comes back when the last of the name and of those who have it open is gone.
  EXPECT_EQ(files.Unlink("/tmp/f"), 0);
  EXPECT_EQ(Files::Write(*copy, "z"), -ENOSPC);
  EXPECT_EQ(file->Truncate(1), 0);
  EXPECT_EQ(Files::Write(*copy, std::string(2 * kPage, 'z')), int64_t{kPage});
}

TEST(MachineFilesTest, WhoClosesAFileWithoutANameGivesItsRoomBack) {
  Files files({}, kPage);
  OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*file, "text"), 4);
  EXPECT_EQ(files.Unlink("/tmp/f"), 0);
  const OpenFile other = files.Open("/tmp/g", O_RDWR | O_CREAT);
  EXPECT_EQ(Files::Write(*other, "text"), -ENOSPC);
  file.reset();
  EXPECT_EQ(Files::Write(*other, "text"), 4);
}

TEST(MachineFilesTest, AFileIsCopiedToItselfWhereItDoesNotOverlap) {
  Files files;
  files.Put("/tmp/f", "abcdef");
  const OpenFile file = files.Open("/tmp/f", O_RDWR);
  int64_t from = 0, to = 2;
  EXPECT_EQ(file->CopyTo(&from, *file, &to, 3), -EINVAL);
  to = 3;
  EXPECT_EQ(file->CopyTo(&from, *file, &to, 3), 3);
  EXPECT_EQ(from, 3);
  EXPECT_EQ(to, 6);
  EXPECT_EQ(files.Get("/tmp/f"), "abcabc");
}

TEST(MachineFilesTest, AllocatedPagesAreThereForWhoWritesLater) {
  Files files({}, 3 * kPage);
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_EQ(file->Allocate(FALLOC_FL_KEEP_SIZE, 1, int64_t{2 * kPage}), 0);
  EXPECT_EQ(Files::StatOf(*file).st_size, 0);
  EXPECT_EQ(Files::StatOf(*file).st_blocks, 24);
  EXPECT_EQ(Files::WriteAt(*files.Open("/tmp/g", O_WRONLY | O_CREAT), "x", 0), -ENOSPC);
  EXPECT_EQ(Files::WriteAt(*file, "x", kPage), 1);
  EXPECT_EQ(files.Get("/tmp/f"), std::string(kPage, '\0') + "x");
  EXPECT_EQ(file->Allocate(0, 0, int64_t{2 * kPage}), 0);
  EXPECT_EQ(Files::StatOf(*file).st_size, int64_t{2 * kPage});
  EXPECT_EQ(file->Allocate(0, 0, 0), -EINVAL);
  EXPECT_EQ(file->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), -EOPNOTSUPP);
}

TEST(MachineFilesTest, OffsetsHaveALimit) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  const int64_t most = int64_t{1} << 62;
  EXPECT_EQ(Files::WriteAt(*file, "xy", most - 1), 1);
  EXPECT_EQ(Files::WriteAt(*file, "x", most), -EFBIG);
  EXPECT_EQ(Files::WriteAt(*file, "x", -1), -EINVAL);
  EXPECT_EQ(Files::WriteAt(*file, "x", INT64_MAX), -EINVAL);
  EXPECT_EQ(Files::ReadAt(*file, 1, -1), "errno " + std::to_string(EINVAL));
  EXPECT_EQ(Files::ReadAt(*file, 1, most), "");
  EXPECT_EQ(file->Truncate(most + 1), -EFBIG);
  EXPECT_EQ(file->Truncate(-1), -EINVAL);
  EXPECT_EQ(file->Allocate(0, most, 1), -EFBIG);
}

TEST(MachineFilesTest, ChanceMovesAPart) {
  Files files({.seed = 3, .short_transfers = 1});
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i);
  std::set<int64_t> parts;
  for (std::string left = text; !left.empty();) {
    const int64_t part = Files::Write(*file, left);
    ASSERT_GE(part, 1);
    if (left.size() > 1) ASSERT_LT(part, static_cast<int64_t>(left.size()));
    left.erase(0, static_cast<size_t>(part));
  }
  const OpenFile reader = files.Open("/tmp/f", O_RDONLY);
  std::string read;
  for (std::string part; !(part = Files::Read(*reader, 100)).empty();) {
    parts.insert(static_cast<int64_t>(part.size()));
    read += part;
  }
  EXPECT_EQ(read, text);
  EXPECT_GT(parts.size(), 5u);
}

TEST(MachineFilesTest, TimesAreThoseOfTheMachinesClock) {
  Files files;
  const auto modified = [&](const std::string& path) { return files.Stat(path).st_mtim.tv_sec; };
  files.clock.now_ns = 5'000'000'007;
  files.Put("/tmp/f", "text");
  EXPECT_EQ(modified("/tmp/f"), 5);
  EXPECT_EQ(files.Stat("/tmp/f").st_mtim.tv_nsec, 7);
  EXPECT_EQ(modified("/tmp"), 5);
  files.clock.now_ns = 6'000'000'000;
  EXPECT_EQ(files.Get("/tmp/f"), "text");
  EXPECT_EQ(files.Stat("/tmp/f").st_atim.tv_sec, 6);
  files.clock.now_ns = 7'000'000'000;
  EXPECT_EQ(files.Get("/tmp/f"), "text");
  EXPECT_EQ(files.Stat("/tmp/f").st_atim.tv_sec, 6);  // relatime
  EXPECT_EQ(files.Link("/tmp/f", "/tmp/g"), 0);
  EXPECT_EQ(files.Stat("/tmp/f").st_ctim.tv_sec, 7);
  EXPECT_EQ(modified("/tmp/f"), 5);
  EXPECT_EQ(modified("/tmp"), 7);
}

TEST(MachineFilesTest, TimesAreSetWithinWhatTheyCanBe) {
  Files files;
  files.Put("/tmp/f", "text");
  files.clock.now_ns = 9'000'000'007;
  const OpenFile file = files.Open("/tmp/f", O_RDONLY);
  const auto set = [&](timespec accessed, timespec modified) {
    const timespec both[2] = {accessed, modified};
    return files.system().SetTimes(nullptr, "/tmp/f", both, 0);
  };
  const timespec omit = {0, UTIME_OMIT}, now = {5, UTIME_NOW};
  EXPECT_EQ(set({3, 4}, {-1, 999'999'999}), 0);
  EXPECT_EQ(Files::StatOf(*file).st_atim.tv_sec, 3);
  EXPECT_EQ(Files::StatOf(*file).st_atim.tv_nsec, 4);
  EXPECT_EQ(Files::StatOf(*file).st_mtim.tv_sec, -1);
  EXPECT_EQ(Files::StatOf(*file).st_mtim.tv_nsec, 999'999'999);
  EXPECT_EQ(Files::StatOf(*file).st_ctim.tv_sec, 9);
  EXPECT_EQ(set(omit, now), 0);
  EXPECT_EQ(Files::StatOf(*file).st_atim.tv_sec, 3);
  EXPECT_EQ(Files::StatOf(*file).st_mtim.tv_sec, 9);
  EXPECT_EQ(Files::StatOf(*file).st_mtim.tv_nsec, 7);
  EXPECT_EQ(set({3, 1'000'000'000}, omit), -EINVAL);
  EXPECT_EQ(set(omit, {3, -1}), -EINVAL);
  constexpr time_t kLast = std::numeric_limits<time_t>::max();
  EXPECT_EQ(set({kLast, 0}, {-kLast, 0}), 0);
  EXPECT_GT(Files::StatOf(*file).st_atim.tv_sec, 9'000'000'000);
  EXPECT_LT(Files::StatOf(*file).st_mtim.tv_sec, -9'000'000'000);
  // Nothing is looked at if nothing is set.
  files.clock.now_ns = 10'000'000'000;
  EXPECT_EQ(set(omit, omit), 0);
  const timespec none[2] = {omit, omit};
  EXPECT_EQ(file->SetTimes(none), 0);
  EXPECT_EQ(files.system().SetTimes(nullptr, "/tmp/none", none, 0), 0);
  EXPECT_EQ(Files::StatOf(*file).st_ctim.tv_sec, 9);
  EXPECT_EQ(file->SetTimes(nullptr), 0);
  EXPECT_EQ(Files::StatOf(*file).st_atim.tv_sec, 10);
  EXPECT_EQ(files.system().SetTimes(nullptr, "/tmp/f", nullptr, 1 << 30), -EINVAL);
  EXPECT_EQ(files.system().ChangeMode(nullptr, "/tmp/f", 0600, 1 << 30), -EINVAL);
}

// ---- Ways and room.

TEST(MachineFilesTest, ARealPathGoesThroughNoLink) {
  Files files;
  EXPECT_EQ(files.Mkdir("/tmp/d"), 0);
  EXPECT_EQ(files.Mkdir("/tmp/d/e"), 0);
  files.Put("/tmp/d/e/f", "text");
  EXPECT_EQ(files.Symlink("d/e", "/tmp/l"), 0);
  EXPECT_EQ(files.Symlink("../l/f", "/tmp/d/m"), 0);
  std::string whole;
  const auto real = [&](const char* path) {
    const int error = files.system().RealPath(path, whole);
    return error != 0 ? "errno " + std::to_string(-error) : whole;
  };
  EXPECT_EQ(real("tmp/d//m"), "/tmp/d/e/f");
  EXPECT_EQ(real("/tmp/l/../."), "/tmp/d");
  EXPECT_EQ(real("/tmp/l/"), "/tmp/d/e");
  EXPECT_EQ(real("/.."), "/");
  EXPECT_EQ(files.Rename("/tmp/d", "/tmp/other"), 0);
  EXPECT_EQ(real("/tmp/other/e/f"), "/tmp/other/e/f");
  EXPECT_EQ(real("/tmp/l"), "errno " + std::to_string(ENOENT));
}

TEST(MachineFilesTest, TheDiskSaysHowMuchOfItIsTaken) {
  Files files({}, 10 * kPage);
  struct statvfs status;
  EXPECT_EQ(files.system().StatDisk("/tmp", status), 0);
  EXPECT_EQ(status.f_frsize, kPage);
  EXPECT_EQ(status.f_blocks, 10u);
  EXPECT_EQ(status.f_bfree, 10u);
  files.Put("/tmp/f", std::string(2 * kPage + 1, 'x'));
  EXPECT_EQ(files.system().StatDisk("/tmp/f", status), 0);
  EXPECT_EQ(status.f_bfree, 7u);
  EXPECT_EQ(status.f_bavail, 7u);
  EXPECT_EQ(files.system().StatDisk("/tmp/none", status), -ENOENT);
}

TEST(MachineFilesTest, ADirectoryThatIsRewoundIsReadAnew) {
  Files files;
  const OpenFile directory = files.OpenDirectory("/tmp");
  EXPECT_EQ(Files::ReadEntries(*directory).size(), 2u);
  files.Put("/tmp/f", "");
  EXPECT_EQ(directory->Seek(0, SEEK_SET), 0);
  EXPECT_EQ(Files::ReadEntries(*directory).size(), 3u);
  EXPECT_EQ(directory->Seek(0, SEEK_END), -EINVAL);
}

// ---- Locks.

TEST(MachineFilesTest, ALockBelongsToTheOpenFile) {
  Files files;
  OpenFile one = files.Open("/tmp/f", O_RDWR | O_CREAT), other = files.Open("/tmp/f", O_RDONLY);
  EXPECT_EQ(one->Lock(LOCK_EX), 0);
  EXPECT_EQ(one->Lock(LOCK_EX), 0);
  EXPECT_EQ(other->Lock(LOCK_SH | LOCK_NB), -EWOULDBLOCK);
  EXPECT_EQ(one->Lock(LOCK_SH), 0);
  EXPECT_EQ(other->Lock(LOCK_SH | LOCK_NB), 0);
  // Who asks for more loses what it had, as in Linux.
  EXPECT_EQ(one->Lock(LOCK_EX | LOCK_NB), -EWOULDBLOCK);
  EXPECT_EQ(other->Lock(LOCK_EX | LOCK_NB), 0);
  other.reset();
  EXPECT_EQ(one->Lock(LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(one->Lock(LOCK_UN), 0);
  EXPECT_EQ(one->Lock(0), -EINVAL);
}

TEST(MachineFilesDeathTest, NobodyWaitsForALock) {
  Files files;
  const OpenFile one = files.Open("/tmp/f", O_RDWR | O_CREAT), other = files.Open("/tmp/f", O_RDWR);
  EXPECT_EQ(one->Lock(LOCK_EX), 0);
  EXPECT_DEATH(other->Lock(LOCK_EX), "/tmp/f would wait for another open file's lock");
}

TEST(MachineFilesTest, AFileSaysWhatItIs) {
  Files files;
  const OpenFile directory = files.OpenDirectory("/tmp");
  const OpenFile file = files.Open("f", O_RDWR | O_CREAT, directory.get());
  EXPECT_EQ(directory->Describe(), "the directory /tmp");
  EXPECT_EQ(file->Describe(), "the file /tmp/f");
  EXPECT_EQ(file->AsFile(), file.get());
  EXPECT_EQ(file->Readiness(), uint32_t{EPOLLIN | EPOLLOUT});
  EXPECT_FALSE(file->CanBeWatched());
}

// ---- Directories.

TEST(MachineFilesTest, ABufferWithoutRoomForAnEntryIsAnError) {
  Files files;
  const std::string name(100, 'n');
  files.Put("/tmp/" + name, "");
  const OpenFile directory = files.OpenDirectory("/tmp");
  char buffer[128];
  EXPECT_EQ(directory->ReadDirectory(buffer, 23), -EINVAL);
  EXPECT_EQ(directory->ReadDirectory(buffer, 47), 24);  // "."
  EXPECT_EQ(directory->ReadDirectory(buffer, 24), 24);  // ".."
  EXPECT_EQ(directory->ReadDirectory(buffer, 119), -EINVAL);
  EXPECT_EQ(directory->ReadDirectory(buffer, 120), 120);
  EXPECT_EQ(directory->ReadDirectory(buffer, 120), 0);
}

TEST(MachineFilesTest, ADirectoryListsItsEntriesInAnOrderByChance) {
  const auto order = [](uint64_t seed) {
    Files files({.seed = seed});
    for (int i = 0; i < 20; ++i) files.Put("/tmp/" + std::to_string(i), "");
    std::string names;
    for (const ListedEntry& entry : Files::ReadEntries(*files.OpenDirectory("/tmp"))) names += entry.name + " ";
    return names;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST(MachineFilesTest, WhatStaysIsListedOnceWhileOthersComeAndGo) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Files files({.seed = seed});
    Chance chance({.seed = seed});
    for (int i = 0; i < 60; ++i) files.Put("/tmp/stays" + std::to_string(i), "");
    for (int i = 0; i < 60; ++i) files.Put("/tmp/goes" + std::to_string(i), "");
    const OpenFile directory = files.OpenDirectory("/tmp");
    std::multiset<std::string> listed;
    int gone = 0, come = 0;
    while (true) {
      char buffer[200];
      const int64_t got = directory->ReadDirectory(buffer, sizeof(buffer));
      ASSERT_GE(got, 0);
      if (got == 0) break;
      std::vector<ListedEntry> entries;
      TakeEntries(buffer, static_cast<size_t>(got), entries);
      for (const ListedEntry& entry : entries) listed.insert(entry.name);
      if (gone < 60) ASSERT_EQ(files.Unlink("/tmp/goes" + std::to_string(gone++)), 0);
      // In the place of one that stays, its name stays.
      files.Put("/tmp/new", "");
      ASSERT_EQ(files.Rename("/tmp/new", "/tmp/stays" + std::to_string(chance.Below(60))), 0);
      files.Put("/tmp/comes" + std::to_string(come++), "");
    }
    for (int i = 0; i < 60; ++i) EXPECT_EQ(listed.count("stays" + std::to_string(i)), 1u);
    for (const std::string& name : listed) EXPECT_EQ(listed.count(name), 1u);
  }
}

TEST(MachineFilesTest, WhoRenamesWhatItFindsComesToAnEnd) {
  Files files;
  for (int i = 0; i < 50; ++i) files.Put("/tmp/" + std::to_string(i), "");
  const OpenFile directory = files.OpenDirectory("/tmp");
  char buffer[64];
  int calls = 0;
  for (int64_t got; (got = directory->ReadDirectory(buffer, sizeof(buffer))) > 0; ++calls) {
    std::vector<ListedEntry> entries;
    TakeEntries(buffer, static_cast<size_t>(got), entries);
    for (const ListedEntry& entry : entries) {
      if (entry.name[0] != '.') ASSERT_EQ(files.Rename("/tmp/" + entry.name, "/tmp/done" + entry.name), 0);
    }
  }
  EXPECT_LE(calls, 52);
  for (const std::string& name : files.Names("/tmp")) EXPECT_EQ(name.rfind("done"), 0u) << name;
}

}  // namespace
}  // namespace weft::testing
