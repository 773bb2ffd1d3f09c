// Goal: of the machine's files, after a loss of power, there is what lib/testing/machine/journal.h says.
// Method: the protocols by which programs make something durable, each also with a step left out; and trees by chance,
// of which only must hold what always does: each file has as many names as it says, and each directory one.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/file_system.h"
#include "tests/testing/machine_files.h"

namespace weft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kPage = 4096;
const char kNone[] = "errno 2";

// A file that is on the disk.
void PutForGood(Files& files, const std::string& path, const std::string& text) {
  files.Put(path, text);
  files.Sync(path);
  files.Sync(path.substr(0, path.rfind('/')));
}

TEST(MachinePowerTest, WhatNobodySyncedIsGone) {
  Files files;
  files.Put("/tmp/f", "text");
  ASSERT_EQ(files.Mkdir("/tmp/d"), 0);
  files.system().LosePower();
  EXPECT_THAT(files.Names("/tmp"), IsEmpty());
  EXPECT_EQ(files.Stat("/tmp").st_nlink, 2u);
  EXPECT_EQ(files.Stat("/tmp").st_mode, mode_t{S_IFDIR | 01777});
}

TEST(MachinePowerTest, ANameWithoutItsFileIsEmpty) {
  Files files;
  files.Put("/tmp/f", "text");
  files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/f"), "");
  EXPECT_EQ(files.Stat("/tmp/f").st_mode, mode_t{S_IFREG | 0644});
}

TEST(MachinePowerTest, AFileWithoutItsNameIsGone) {
  Files files;
  files.Put("/tmp/f", "text");
  files.Sync("/tmp/f");
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/f"), kNone);
}

TEST(MachinePowerTest, ADirectoryIsThereByItsParentsSync) {
  Files files;
  ASSERT_EQ(files.Mkdir("/tmp/d"), 0);
  files.Put("/tmp/d/f", "text");
  files.Sync("/tmp/d/f");
  files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_THAT(files.Names("/tmp/d"), IsEmpty());
  files.Put("/tmp/d/f", "text");
  files.Sync("/tmp/d/f");
  files.Sync("/tmp/d");
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/d/f"), "text");
}

TEST(MachinePowerTest, ADirectorysOwnSyncDoesNotNameIt) {
  Files files;
  ASSERT_EQ(files.Mkdir("/tmp/d"), 0);
  files.Sync("/tmp/d");
  files.system().LosePower();
  EXPECT_EQ(files.TryStat("/tmp/d"), -ENOENT);
}

TEST(MachinePowerTest, WhatWasDoneToAFileSinceItsSyncIsLost) {
  Files files;
  PutForGood(files, "/tmp/f", std::string(2 * kPage, 'a'));
  {
    const OpenFile file = files.Open("/tmp/f", O_RDWR);
    EXPECT_EQ(Files::WriteAt(*file, "b", 0), 1);
    EXPECT_EQ(file->Sync(), 0);
    EXPECT_EQ(Files::WriteAt(*file, "c", 1), 1);
    EXPECT_EQ(Files::WriteAt(*file, "c", kPage), 1);
    EXPECT_EQ(file->Truncate(7), 0);
    EXPECT_EQ(file->ChangeMode(0600), 0);
    EXPECT_EQ(files.Get("/tmp/f"), "bcaaaaa");
  }
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/f"), "b" + std::string(2 * kPage - 1, 'a'));
  EXPECT_EQ(files.Stat("/tmp/f").st_mode, mode_t{S_IFREG | 0644});
}

TEST(MachinePowerTest, WhatASyncHasLostThatFailedIsThereOnceItIsWrittenAgain) {
  constexpr uint64_t kSeeds = 50;
  int lost = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Files files({.seed = seed});
    PutForGood(files, "/tmp/f", "old" + std::string(kPage, '.'));
    {
      const OpenFile file = files.Open("/tmp/f", O_RDWR);
      EXPECT_EQ(Files::WriteAt(*file, "new", 0), 3);
      EXPECT_EQ(file->Sync(-EIO), -EIO);
      EXPECT_EQ(Files::ReadAt(*file, 3, 0), "new");
      EXPECT_EQ(Files::WriteAt(*file, "new", kPage), 3);  // another page
      EXPECT_EQ(file->Sync(), 0);
    }
    files.system().LosePower();
    const std::string text = files.Get("/tmp/f");
    EXPECT_TRUE(text.starts_with("old...") || text.starts_with("new...")) << text.substr(0, 6);
    EXPECT_EQ(text.substr(kPage), "new");
    if (text.starts_with("old")) ++lost;
    {
      const OpenFile file = files.Open("/tmp/f", O_RDWR);
      for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(Files::WriteAt(*file, "abc", 0), 3);
        if (i == 0) EXPECT_EQ(file->Sync(-EIO), -EIO);
      }
      EXPECT_EQ(file->Sync(), 0);
    }
    files.system().LosePower();
    EXPECT_TRUE(files.Get("/tmp/f").starts_with("abc..."));
  }
  EXPECT_GT(lost, 10);
  EXPECT_LT(lost, 40);
}

// The disk has "aaaa"; a sync of "bb" fails; then change(file), and a sync that succeeds. Returns the file as it is
// after a loss of power, made 4 bytes long.
template <class Change>
std::string AfterASyncThatFailed(uint64_t seed, Change change) {
  Files files({.seed = seed});
  PutForGood(files, "/tmp/f", "aaaa");
  {
    const OpenFile file = files.Open("/tmp/f", O_RDWR);
    EXPECT_EQ(file->Truncate(0), 0);
    EXPECT_EQ(Files::WriteAt(*file, "bb", 0), 2);
    EXPECT_EQ(file->Sync(-EIO), -EIO);
    change(*file);
    EXPECT_EQ(file->Sync(), 0);
  }
  files.system().LosePower();
  EXPECT_EQ(files.Open("/tmp/f", O_RDWR)->Truncate(4), 0);
  return files.Get("/tmp/f");
}

TEST(MachinePowerTest, WhatWasLostShowsNothingBehindTheEnd) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::string text = AfterASyncThatFailed(seed, [](auto&) {});
    lost += text.starts_with("aa");
    EXPECT_TRUE(text.starts_with("aa") || text.starts_with("bb")) << text;
    EXPECT_EQ(text.substr(2), std::string(2, '\0'));
  }
  EXPECT_GT(lost, 0);
}

TEST(MachinePowerTest, ACutBringsThePageThatItIsIn) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto cut = [](auto& file) { EXPECT_EQ(file.Truncate(1), 0); };
    EXPECT_EQ(AfterASyncThatFailed(seed, cut), std::string("b\0\0\0", 4));
  }
}

TEST(MachinePowerTest, UnlinksAndRenamesAreUndone) {
  Files files;
  PutForGood(files, "/tmp/f", "f");
  PutForGood(files, "/tmp/g", "g");
  PutForGood(files, "/tmp/h", "h");
  ASSERT_EQ(files.Unlink("/tmp/f"), 0);
  ASSERT_EQ(files.Rename("/tmp/g", "/tmp/h"), 0);
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/f"), "f");
  EXPECT_EQ(files.Get("/tmp/g"), "g");
  EXPECT_EQ(files.Get("/tmp/h"), "h");
  ASSERT_EQ(files.Unlink("/tmp/f"), 0);
  ASSERT_EQ(files.Rename("/tmp/g", "/tmp/h"), 0);
  files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_THAT(files.Names("/tmp"), ElementsAre("h"));
  EXPECT_EQ(files.Get("/tmp/h"), "g");
}

TEST(MachinePowerTest, LinksComeWithTheirName) {
  Files files;
  ASSERT_EQ(files.Symlink("target", "/tmp/l"), 0);
  ASSERT_GT(files.system().MakeSocketFile("/tmp/s"), 0);
  files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_EQ(files.ReadLink("/tmp/l"), "target");
  EXPECT_GT(files.system().FindSocketFile("/tmp/s"), 0);
}

// As WriteFileAtomically() does it; with steps left out.
enum class Without { kNothing, kFileSync, kDirectorySync };

std::string ReplacedAfterLoss(Without without) {
  Files files;
  PutForGood(files, "/tmp/f", "old");
  files.Put("/tmp/new", "new");
  if (without != Without::kFileSync) files.Sync("/tmp/new");
  EXPECT_EQ(files.Rename("/tmp/new", "/tmp/f"), 0);
  if (without != Without::kDirectorySync) files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_THAT(files.Names("/tmp"), ElementsAre("f"));
  return files.Get("/tmp/f");
}

TEST(MachinePowerTest, ReplacingAFileTakesBothSyncs) {
  EXPECT_EQ(ReplacedAfterLoss(Without::kNothing), "new");
  EXPECT_EQ(ReplacedAfterLoss(Without::kFileSync), "");
  EXPECT_EQ(ReplacedAfterLoss(Without::kDirectorySync), "old");
}

// A tree with /tmp/a/f, and /tmp/b.
void PutTwoDirectories(Files& files) {
  ASSERT_EQ(files.Mkdir("/tmp/a"), 0);
  ASSERT_EQ(files.Mkdir("/tmp/b"), 0);
  files.Sync("/tmp");
  PutForGood(files, "/tmp/a/f", "text");
}

TEST(MachinePowerTest, AMoveIsNotDoneWithoutASync) {
  Files files;
  PutTwoDirectories(files);
  ASSERT_EQ(files.Rename("/tmp/a/f", "/tmp/b/f"), 0);
  files.Sync("/tmp");  // neither of both
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/a/f"), "text");
  EXPECT_EQ(files.Get("/tmp/b/f"), kNone);
}

TEST(MachinePowerTest, AMoveIsDoneWhollyByTheSyncOfEitherDirectory) {
  for (const char* const synced : {"/tmp/a", "/tmp/b"}) {
    Files files;
    PutTwoDirectories(files);
    ASSERT_EQ(files.Rename("/tmp/a/f", "/tmp/b/f"), 0);
    files.Sync(synced);
    files.system().LosePower();
    EXPECT_EQ(files.Get("/tmp/a/f"), kNone);
    EXPECT_EQ(files.Get("/tmp/b/f"), "text");
    EXPECT_EQ(files.Stat("/tmp/b/f").st_nlink, 1u);
  }
}

TEST(MachinePowerTest, AMoveThatIsOnTheDiskBringsNothingElseThereAnyMore) {
  Files files;
  PutTwoDirectories(files);
  ASSERT_EQ(files.Rename("/tmp/a/f", "/tmp/b/f"), 0);
  files.Sync("/tmp/a");
  files.Put("/tmp/b/later", "");
  files.Sync("/tmp/a");
  files.system().LosePower();
  EXPECT_THAT(files.Names("/tmp/b"), ElementsAre("f"));
}

TEST(MachinePowerTest, WhatWasMovedOutOfADirectoryThatIsGoneIsNotLost) {
  Files files;
  PutTwoDirectories(files);
  ASSERT_EQ(files.Rename("/tmp/a/f", "/tmp/b/f"), 0);
  ASSERT_EQ(files.Rmdir("/tmp/a"), 0);
  files.Sync("/tmp");
  files.system().LosePower();
  EXPECT_EQ(files.Get("/tmp/b/f"), "text");
  EXPECT_EQ(files.TryStat("/tmp/a"), -ENOENT);
}

TEST(MachinePowerTest, DirectoriesThatChangePlacesAreNotLost) {
  // On the disk /tmp/a/b, at present /tmp/b/a: if only the new name of a came to the disk, both would be in each other.
  for (const char* const synced : {"/tmp", "/tmp/b", "/tmp/b/a"}) {
    Files files;
    ASSERT_EQ(files.Mkdir("/tmp/a"), 0);
    ASSERT_EQ(files.Mkdir("/tmp/a/b"), 0);
    files.Sync("/tmp");
    files.Sync("/tmp/a");
    ASSERT_EQ(files.Rename("/tmp/a/b", "/tmp/b"), 0);
    ASSERT_EQ(files.Rename("/tmp/a", "/tmp/b/a"), 0);
    files.Sync(synced);
    files.system().LosePower();
    EXPECT_EQ(files.TryStat("/tmp/b/a"), 0);
    EXPECT_THAT(files.Names("/tmp"), ElementsAre("b"));
  }
}

TEST(MachinePowerTest, TheRoomIsThatOfWhatIsLeft) {
  Files files({}, 2 * kPage);
  PutForGood(files, "/tmp/f", "text");
  files.Put("/tmp/g", "text");
  files.system().LosePower();
  files.Put("/tmp/h", std::string(kPage, 'h'));
  EXPECT_EQ(files.Try("/tmp/i", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(Files::Write(*files.Open("/tmp/i", O_WRONLY), "i"), -ENOSPC);
}

TEST(MachinePowerDeathTest, NothingMayBeOpen) {
  Files files;
  const OpenFile file = files.Open("/tmp/f", O_RDWR | O_CREAT);
  EXPECT_DEATH(files.system().LosePower(), "loses its power, and 1 files are open");
}

// ---- Trees by chance.

class ChanceTree {
 public:
  ChanceTree(Files& files, uint64_t seed) : files_(files), chance_({.seed = seed}) {}

  void Change() {
    const std::string path = Path(), other = Path();
    OpenFile file;
    switch (chance_.Below(9)) {
      case 0:
      case 1:
        files_.Mkdir(path);
        break;
      case 2:
        if (files_.TryOpen(path, O_WRONLY | O_CREAT, file) == 0) {
          Files::WriteAt(*file, std::string(chance_.Below(3 * kPage), 'x'), static_cast<int64_t>(chance_.Below(kPage)));
        }
        break;
      case 3:
      case 4:
        files_.Rename(path, other);
        break;
      case 5:
        files_.Link(path, other);
        break;
      case 6:
        if (files_.Unlink(path) != 0) files_.Rmdir(path);
        break;
      case 7:
        if (files_.TryOpen(path, O_WRONLY, file) == 0) file->Truncate(static_cast<int64_t>(chance_.Below(3 * kPage)));
        break;
      default:
        if (files_.TryOpen(path, O_RDONLY, file) == 0) file->Sync();
    }
  }

  // Calls visit(path, status) of everything, what is in a directory before it.
  template <class F>
  void Visit(const std::string& path, F visit) {
    for (const std::string& name : files_.Names(path)) {
      const std::string below = path + "/" + name;
      const struct stat status = files_.Stat(below);
      if (S_ISDIR(status.st_mode)) Visit(below, visit);
      visit(below, status);
    }
  }

  std::map<std::string, std::string> Everything() {
    std::map<std::string, std::string> everything;
    Visit("/tmp", [&](const std::string& path, const struct stat& status) {
      everything[path] = S_ISDIR(status.st_mode) ? "directory" : files_.Get(path);
    });
    return everything;
  }

  void ExpectSound() {
    std::map<uint64_t, uint64_t> names, links;
    std::map<uint64_t, bool> is_directory;
    Visit("/tmp", [&](const std::string& path, const struct stat& status) {
      ++names[status.st_ino];
      links[status.st_ino] = status.st_nlink;
      is_directory[status.st_ino] = S_ISDIR(status.st_mode);
      if (!S_ISDIR(status.st_mode)) return;
      uint64_t directories = 0;
      for (const ListedEntry& entry : Files::ReadEntries(*files_.OpenDirectory(path))) {
        if (entry.type == DT_DIR) ++directories;
      }
      EXPECT_EQ(status.st_nlink, directories) << path;  // with "." and ".."
      EXPECT_EQ(files_.Stat(path + "/..").st_ino, files_.Stat(path.substr(0, path.rfind('/'))).st_ino);
    });
    for (const auto& [inode, count] : names) EXPECT_EQ(count, is_directory[inode] ? 1 : links[inode]);
  }

 private:
  std::string Path() {
    std::string path = "/tmp";
    for (uint64_t parts = 1 + chance_.Below(3); parts > 0; --parts) {
      path += "/";
      path += static_cast<char>('a' + chance_.Below(3));
    }
    return path;
  }

  Files& files_;
  Chance chance_;
};

TEST(MachinePowerTest, TheTreeIsSoundAfterEachLoss) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Files files({}, 40 * kPage);
    ChanceTree tree(files, seed);
    for (int losses = 0; losses < 10; ++losses) {
      for (int i = 0; i < 100; ++i) tree.Change();
      tree.ExpectSound();
      files.system().LosePower();
      tree.ExpectSound();
      // What is on the disk is there again the next time.
      const auto there = tree.Everything();
      files.system().LosePower();
      EXPECT_EQ(tree.Everything(), there);
    }
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST(MachinePowerTest, WhatWasSyncedWhollyIsThere) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Files files;
    ChanceTree tree(files, seed);
    for (int i = 0; i < 200; ++i) tree.Change();
    const auto before = tree.Everything();
    for (const auto& [path, text] : before) files.Sync(path);
    files.Sync("/tmp");
    files.system().LosePower();
    EXPECT_EQ(tree.Everything(), before);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST(MachinePowerTest, AllRoomComesBack) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Files files({}, 30 * kPage);
    ChanceTree tree(files, seed);
    for (int i = 0; i < 500; ++i) tree.Change();
    tree.Visit("/tmp", [&](const std::string& path, const struct stat&) {
      if (files.Unlink(path) != 0) EXPECT_EQ(files.Rmdir(path), 0) << path;
    });
    const OpenFile file = files.Open("/tmp/all", O_WRONLY | O_CREAT);
    EXPECT_EQ(Files::Write(*file, std::string(31 * kPage, 'x')), int64_t{30 * kPage});
  }
}

}  // namespace
}  // namespace weft::testing
