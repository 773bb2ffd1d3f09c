// Goal: a UniqueDescriptor closes what it owns, once.
#include "weft/io/unique_descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "gtest/gtest.h"

namespace weft::io {
namespace {

int NewDescriptor() { return ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); }

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueDescriptorTest, ItClosesWhatItOwns) {
  const int fd = NewDescriptor();
  {
    const UniqueDescriptor owner(fd);
    EXPECT_EQ(owner.get(), fd);
    EXPECT_TRUE(owner);
  }
  EXPECT_FALSE(IsOpen(fd));
  EXPECT_FALSE(UniqueDescriptor());
  EXPECT_EQ(UniqueDescriptor().get(), -1);
}

TEST(UniqueDescriptorTest, AMoveHandsItOver) {
  const int fd = NewDescriptor();
  UniqueDescriptor first(fd);
  UniqueDescriptor second(std::move(first));
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), fd);
  const int other = NewDescriptor();
  UniqueDescriptor third(other);
  third = std::move(second);
  EXPECT_FALSE(IsOpen(other));
  UniqueDescriptor& same = third;
  third = std::move(same);
  EXPECT_EQ(third.get(), fd);
  EXPECT_TRUE(IsOpen(fd));
}

TEST(UniqueDescriptorTest, WhatIsReleasedStaysOpen) {
  const int fd = NewDescriptor();
  UniqueDescriptor owner(fd);
  EXPECT_EQ(owner.Release(), fd);
  EXPECT_FALSE(owner);
  EXPECT_TRUE(IsOpen(fd));
  owner.Reset(fd);
  owner.Reset();
  EXPECT_FALSE(IsOpen(fd));
}

}  // namespace
}  // namespace weft::io
