// Goal: an errno survives the way into an absl::Status and back, and the code is one that a caller can act on.
// Method: every number that the C library can name goes through the table.
#include "lib/base/errno_status.h"

#include <errno.h>
#include <string.h>

#include <atomic>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "gtest/gtest.h"

namespace weft::internal {
namespace {

TEST(ErrnoStatusTest, EveryErrnoOfLinuxHasACodeAndComesBack) {
  int known = 0;
  for (int error = 1; error < 4096; ++error) {
    const char* const name = ::strerrorname_np(error);
    if (name == nullptr) continue;
    ++known;
    EXPECT_EQ(ErrnoName(error), std::string(name).compare("ENOTSUP") == 0 ? "EOPNOTSUPP" : name);
    const absl::Status status = ErrnoToStatus(error, "test");
    EXPECT_FALSE(status.ok()) << name;
    EXPECT_NE(status.code(), absl::StatusCode::kUnknown) << name;
    EXPECT_EQ(status.code(), ErrnoToCode(error)) << name;
    EXPECT_EQ(ErrnoOf(status), error) << name;
  }
  EXPECT_GT(known, 130);
}

TEST(ErrnoStatusTest, AnUnknownNumberIsKeptToo) {
  const absl::Status status = ErrnoToStatus(4000, "ioctl");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(status.message(), "ioctl: errno 4000");
  EXPECT_EQ(ErrnoOf(status), 4000);
}

TEST(ErrnoStatusTest, TheMessageNamesTheActionTheTextAndTheSymbol) {
  const absl::Status status = ErrnoToStatus(EMFILE, "accept on 127.0.0.1:8080");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "accept on 127.0.0.1:8080: Too many open files (EMFILE)");
}

TEST(ErrnoStatusTest, EveryNumberComesBackAndIsPrintedWithItsName) {
  for (int error = 1; error < 4096; ++error) {
    const absl::Status status = ErrnoToStatus(error, "x");
    EXPECT_EQ(ErrnoOf(status), error);
    absl::Status copied = absl::InternalError("a copy");
    copied.SetPayload("weft.dev/errno", *status.GetPayload("weft.dev/errno"));
    EXPECT_EQ(ErrnoOf(copied), error);
    copied.SetPayload("weft.dev/errno", absl::Cord(absl::string_view(std::to_string(error))));
    EXPECT_EQ(ErrnoOf(copied), error) << "the number alone will do";
  }
  EXPECT_EQ(ErrnoToStatus(ECONNREFUSED, "connect").ToString(),
            "UNAVAILABLE: connect: Connection refused (ECONNREFUSED) [weft.dev/errno='111 (ECONNREFUSED)']");
}

TEST(ErrnoStatusTest, ZeroIsOk) {
  EXPECT_TRUE(ErrnoToStatus(0, "nothing").ok());
  EXPECT_EQ(ErrnoToCode(0), absl::StatusCode::kOk);
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
}

TEST(ErrnoStatusTest, AStatusThatCarriesNoErrnoGivesZero) {
  absl::Status status = absl::InternalError("no payload");
  EXPECT_EQ(ErrnoOf(status), 0);
  for (const char* payload : {"", "x", "-5", "12x", "0", "+5", "5 ", "5 (EIO", "5 (EIO) ", "5 (EPERM)", "4000 ()",
                              " 5", "5 5", "99999999999"}) {
    status.SetPayload("weft.dev/errno", absl::Cord(payload));
    EXPECT_EQ(ErrnoOf(status), 0) << payload;
  }
}

TEST(ErrnoStatusTest, CommonErrorsHaveTheCodesThatCallersDecideOn) {
  EXPECT_EQ(ErrnoToCode(EAGAIN), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoToCode(ECONNREFUSED), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoToCode(ECONNRESET), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoToCode(EPIPE), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoToCode(EADDRNOTAVAIL), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrnoToCode(EADDRINUSE), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrnoToCode(ECANCELED), absl::StatusCode::kCancelled);
  EXPECT_EQ(ErrnoToCode(ETIMEDOUT), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ErrnoToCode(EPERM), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoToCode(ENOSYS), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ErrnoToCode(ENOMEM), absl::StatusCode::kResourceExhausted);
}

// Of ThreadSanitizer's view of it (bazel/status_order.cc): relaxed flags order nothing, the status itself does.
TEST(ErrnoStatusTest, TheLastOfTheThreadsThatShareAStatusFreesIt) {
  absl::Status kept = ErrnoToStatus(ENOENT, "a message that is too long to lie in the string itself");
  std::atomic<bool> dropped{false};
  std::thread other([&dropped, copy = kept]() mutable {
    EXPECT_EQ(ErrnoOf(copy), ENOENT);
    copy = absl::OkStatus();
    dropped.store(true, std::memory_order_relaxed);
  });
  while (!dropped.load(std::memory_order_relaxed)) std::this_thread::yield();
  kept = absl::OkStatus();
  other.join();
}

}  // namespace
}  // namespace weft::internal
