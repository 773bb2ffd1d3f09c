// Files and cancellation. Goal: a call that is queued is withdrawn, one that has begun is awaited and its result is
// delivered or closed; what may take long stops early and leaves what its header says. Method: a pool of one OS thread
// that is busy; calls of the kernel's that are stalled until the request is there.
#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "tests/fs/scratch.h"
#include "tests/fs/stalled_call.h"
#include "tests/net/on_backends.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/path.h"
#include "weft/fs/temporary.h"
#include "weft/fs/walk.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

using fs::File;
using internal::Syscalls;
using Names = std::vector<std::string>;

class FsCancelTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(FsCancelTest);

int64_t Descriptors() {
  using Iterator = std::filesystem::directory_iterator;
  return std::distance(Iterator("/proc/self/fd"), Iterator());
}

// In a child that is asked to end while the pool is in a call of kEntry. Where a shield hides the request, the call
// goes on at once.
template <auto kEntry, bool kShielded = false, class Body>
Task<void> CancelledInside(Body body) {
  StalledCall<kEntry> stalled;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    co_await body();
    co_await Yield();
    ADD_FAILURE() << "beyond a checkpoint";
  });
  co_await stalled.Begun();
  scope.Shutdown();
  kShielded ? stalled.Go() : stalled.GoOnceAsked();
  (co_await scope.Join()).IgnoreFailures();
}

TEST_P(FsCancelTest, AFileThatWasOpenedForACancelledThreadIsClosed) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "x");
    const int64_t before = Descriptors();
    bool delivered = false;
    co_await CancelledInside<&Syscalls::openat>([&]() -> Task<void> {
      const absl::StatusOr<File> file = co_await File::Open(scratch / "f");
      delivered = file.ok();
      EXPECT_EQ(Descriptors(), before + 1);
    });
    EXPECT_TRUE(delivered);
    EXPECT_EQ(Descriptors(), before);
    co_await CancelledInside<&Syscalls::openat>([&]() -> Task<void> {
      static_cast<void>(co_await fs::OpenTemporaryFile({.directory = scratch.path()}));
    });
    co_await CancelledInside<&Syscalls::mkdirat>([&]() -> Task<void> {
      static_cast<void>(co_await fs::TemporaryDirectory::Create({.directory = scratch.path()}));
    });
    // It is delivered to nobody.
    co_await CancelledInside<&Syscalls::openat>([&]() -> Task<void> {
      static_cast<void>(co_await WithTimeout(absl::Hours(1), File::Open(scratch / "f")));
    });
    EXPECT_EQ(Descriptors(), before);
    EXPECT_EQ(scratch.Names(), Names{"f"});
  });
}

TEST_P(FsCancelTest, AReadThatHasBegunIsDeliveredAndMovesThePosition) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("f", "text");
    File file = (co_await File::Open(scratch / "f")).value();
    if (!GetParam().simulated()) co_return;  // it is cached
    co_await CancelledInside<&Syscalls::pread>([&]() -> Task<void> {
      char buffer[3];
      EXPECT_EQ((co_await file.Read(buffer)).value(), 3u);
      EXPECT_EQ(std::string(buffer, 3), "tex");
    });
    EXPECT_EQ(file.position(), 3u);
  });
}

TEST_P(FsCancelTest, ALargeWriteEndsBetweenTwoPartsAndThePositionTellsWhere) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    const std::string bytes(9 << 20, 'x');
    File file = (co_await File::Open(scratch / "f", {.write = true, .create = true})).value();
    co_await CancelledInside<&Syscalls::pwritev2>([&]() -> Task<void> {
      static_cast<void>(co_await file.Write(bytes));
      ADD_FAILURE() << "it was cancelled";
    });
    EXPECT_EQ(file.position(), 4u << 20);
    EXPECT_EQ((co_await file.Size()).value(), 4u << 20);
  });
}

TEST_P(FsCancelTest, WhatMayTakeLongStopsAndLeavesWhatItSays) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    const std::string bytes(9 << 20, 'x');
    scratch.Write("old", "text");
    scratch.Write("large", bytes);
    for (const char* name : {"d/a", "d/b", "d/c"}) scratch.Write(name, "x");
    const int64_t before = Descriptors();
    const auto cancelled = [](const auto&) { ADD_FAILURE() << "it was cancelled"; };
    co_await CancelledInside<&Syscalls::write>([&]() -> Task<void> {
      cancelled(co_await fs::WriteFileAtomically(scratch / "old", bytes));
    });
    co_await CancelledInside<&Syscalls::openat>([&]() -> Task<void> {
      cancelled(co_await fs::WriteFileAtomically(scratch / "old", "short"));
    });
    co_await CancelledInside<&Syscalls::copy_file_range>([&]() -> Task<void> {
      cancelled(co_await fs::CopyFile(scratch / "large", scratch / "copy"));
    });
    co_await CancelledInside<&Syscalls::pread>([&]() -> Task<void> {
      cancelled(co_await fs::ReadFile(scratch / "large"));
    });
    EXPECT_EQ(scratch.Read("old"), "text");
    EXPECT_EQ(scratch.Names(), (Names{"d", "d/a", "d/b", "d/c", "large", "old"}));
    co_await CancelledInside<&Syscalls::getdents64>([&]() -> Task<void> {
      cancelled(co_await fs::RemoveAll(scratch / "d"));
    });
    EXPECT_EQ(scratch.Names().size(), 6u);
    EXPECT_EQ(Descriptors(), before);
    // In a shield it goes on.
    co_await CancelledInside<&Syscalls::getdents64, /*kShielded=*/true>([&]() -> Task<void> {
      EXPECT_EQ(co_await Shield(fs::RemoveAll(scratch / "d")), absl::OkStatus());
    });
    EXPECT_EQ(scratch.Names(), (Names{"large", "old"}));
  });
}

TEST_P(FsCancelTest, ATemporaryDirectoryGoesWithACancelledThread) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    co_await CancelledInside<&Syscalls::fsync>([&]() -> Task<void> {
      const fs::TemporaryDirectory made =
          (co_await fs::TemporaryDirectory::Create({.directory = scratch.path()})).value();
      EXPECT_EQ(co_await fs::CreateDirectories(made.path() + "/a/b"), absl::OkStatus());
      EXPECT_EQ(co_await fs::WriteFileAtomically(made.path() + "/a/f", "x"), absl::OkStatus());
      co_await Yield();
      ADD_FAILURE() << "beyond a checkpoint";
    });
    EXPECT_EQ(scratch.Names(), Names());
  });
}

TEST_P(FsCancelTest, AWalkWhoseNextWasCancelledHasEnded) {
  Everywhere([]() -> Task<void> {
    const Scratch scratch;
    scratch.Write("a/f", "x");
    const int64_t before = Descriptors();
    auto walk = fs::Walk(scratch.path());
    EXPECT_TRUE((co_await walk.Next())->ok());
    StalledCall<&Syscalls::openat> stalled;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      EXPECT_TRUE((co_await walk.Next())->ok());  // begun: delivered
      static_cast<void>(co_await walk.Next());
      ADD_FAILURE() << "it was cancelled";
    });
    co_await stalled.Begun();
    scope.Shutdown();
    stalled.GoOnceAsked();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE((co_await walk.Next()).has_value());
    EXPECT_EQ(Descriptors(), before);
  });
}

// ---- Before it begins.

// With a pool of one OS thread, which is busy while body() runs.
template <class Body>
void WithABusyPool(Runtime& runtime, Body body) {
  runtime.Run([](Body& inner) -> Task<void> {
    std::atomic<bool> begun = false, go = false;
    AwaitAll scope;
    scope.Fork([&]() -> Task<absl::Status> {
      co_return co_await Blocking([&] {
        begun = true;
        while (!go) {
          static_cast<void>(CancelRequested());  // in a simulation, others run meanwhile
          sched_yield();
        }
      });
    });
    while (!begun) co_await Yield();
    co_await inner();
    go = true;
    EXPECT_TRUE((co_await scope.Join()).ok());
  }(body));
}

template <class T>
Task<void> ExpectWithdrawn(const char* what, Task<T> task) {
  const auto stopped = co_await StopOnceItWaits(std::move(task));
  absl::Status status;
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(stopped)>, absl::Status>) {
    status = stopped;
  } else {
    status = stopped.status();
  }
  EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kStopRequested) << what << ": " << status;
}

TEST(FsQueueTest, ACallThatIsQueuedIsWithdrawnAndHasDoneNothing) {
  const Scratch scratch;
  scratch.Write("f", "text");
  scratch.Write("d/g", "x");
  const Names names = scratch.Names();
  const auto body = [&]() -> Task<void> {
    const int64_t before = Descriptors();
    co_await ExpectWithdrawn("Open", File::Open(scratch / "new", {.write = true, .create = true}));
    co_await ExpectWithdrawn("ReadFile", fs::ReadFile(scratch / "f"));
    co_await ExpectWithdrawn("WriteFile", fs::WriteFile(scratch / "f", "new"));
    co_await ExpectWithdrawn("AppendFile", fs::AppendFile(scratch / "f", "new"));
    co_await ExpectWithdrawn("WriteFileAtomically", fs::WriteFileAtomically(scratch / "f", "new"));
    co_await ExpectWithdrawn("Stat", fs::Stat(scratch / "f"));
    co_await ExpectWithdrawn("Exists", fs::Exists(scratch / "f"));
    co_await ExpectWithdrawn("Rename", fs::Rename(scratch / "f", scratch / "new"));
    co_await ExpectWithdrawn("Remove", fs::Remove(scratch / "f"));
    co_await ExpectWithdrawn("RemoveAll", fs::RemoveAll(scratch / "d"));
    co_await ExpectWithdrawn("SetPermissions", fs::SetPermissions(scratch / "f", 0600));
    co_await ExpectWithdrawn("SetTimes", fs::SetTimes(scratch / "f", {.modified = absl::UnixEpoch()}));
    co_await ExpectWithdrawn("CreateHardLink", fs::CreateHardLink(scratch / "f", scratch / "new"));
    co_await ExpectWithdrawn("Canonical", fs::Canonical(scratch / "f"));
    co_await ExpectWithdrawn("SpaceOf", fs::SpaceOf(scratch / "f"));
    co_await ExpectWithdrawn("CreateDirectory", fs::CreateDirectory(scratch / "new"));
    co_await ExpectWithdrawn("CreateDirectories", fs::CreateDirectories(scratch / "new"));
    co_await ExpectWithdrawn("CopyFile", fs::CopyFile(scratch / "f", scratch / "new"));
    co_await ExpectWithdrawn("ReadLink", fs::ReadLink(scratch / "f"));
    co_await ExpectWithdrawn("CreateSymbolicLink", fs::CreateSymbolicLink("f", scratch / "new"));
    co_await ExpectWithdrawn("OpenTemporaryFile", fs::OpenTemporaryFile({.directory = scratch.path()}));
    co_await ExpectWithdrawn("TemporaryDirectory", fs::TemporaryDirectory::Create({.directory = scratch.path()}));
    EXPECT_EQ(Descriptors(), before);
  };
  WithABusyPool(*Runtime::Create({.parallelism = 1, .max_pool_size = 1}).value(), body);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation({.carriers = 1, .seed = seed, .max_pool_size = 1});
    WithABusyPool(simulation.runtime(), body);
  }
  EXPECT_EQ(scratch.Names(), names);
  EXPECT_EQ(scratch.Read("f"), "text");
}

TEST(FsQueueTest, ACallOfAnOpenFileThatIsQueuedIsWithdrawnAndACloseClosesAllTheSame) {
  const Scratch scratch;
  scratch.Write("f", "text");
  const auto runtime = Runtime::Create({.parallelism = 1, .max_pool_size = 1}).value();
  std::optional<File> file =
      runtime->Run([](std::string path) -> Task<absl::StatusOr<File>> {
        co_return co_await File::Open(path, {.write = true});
      }(scratch / "f")).value();
  WithABusyPool(*runtime, [&]() -> Task<void> {
    co_await ExpectWithdrawn("Write", file->Write("new"));
    co_await ExpectWithdrawn("Append", file->Append("new"));
    co_await ExpectWithdrawn("Sync", file->Sync());
    co_await ExpectWithdrawn("Truncate", file->Truncate(0));
    co_await ExpectWithdrawn("Size", file->Size());
    co_await ExpectWithdrawn("SetPermissions", file->SetPermissions(0600));
    co_await ExpectWithdrawn("SetTimes", file->SetTimes({.modified = absl::UnixEpoch()}));
    co_await ExpectWithdrawn("Lock", file->Lock(fs::LockKind::kExclusive));
    EXPECT_EQ(file->position(), 0u);
    EXPECT_TRUE(file->is_open());
    const int64_t before = Descriptors();
    co_await ExpectWithdrawn("Close", file->Close());
    EXPECT_FALSE(file->is_open());
    EXPECT_EQ(Descriptors(), before - 1);
  });
  EXPECT_EQ(scratch.Read("f"), "text");
}

// The carrier is the only one, and the runtime ends now.
TEST(FsQueueTest, TheEndOfTheRuntimeWaitsForACallThatHasBegunAndNothingIsLeft) {
  const Scratch scratch;
  scratch.Write("f", "text");
  const int64_t before = Descriptors();
  StalledCall<&Syscalls::fsync> stalled;
  {
    const auto runtime = Runtime::Create({.parallelism = 1}).value();
    runtime->Run([](const Scratch& in, auto& stall) -> Task<void> {
      VirtualThread::Start([path = in / "f"]() -> Task<absl::Status> {
        co_return co_await fs::WriteFileAtomically(path, "new");
      });
      co_await stall.Begun();
      stall.Go();
    }(scratch, stalled));
  }
  // The request may have come before the last look of it, or after.
  EXPECT_TRUE(scratch.Read("f") == "text" || scratch.Read("f") == "new") << scratch.Read("f");
  EXPECT_EQ(scratch.Names(), Names{"f"});
  EXPECT_EQ(Descriptors(), before);
}

}  // namespace
}  // namespace weft::testing
