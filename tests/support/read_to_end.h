// All that comes from a stream until its end.
#ifndef WEFT_TESTS_SUPPORT_READ_TO_END_H_
#define WEFT_TESTS_SUPPORT_READ_TO_END_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "weft/task.h"

namespace weft::testing {

template <class Stream>
Task<std::string> ReadToEnd(Stream& stream) {
  std::string all;
  char buffer[1000];
  for (;;) {
    absl::StatusOr<size_t> got = co_await stream.Read(buffer);
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) co_return all;
    all.append(buffer, *got);
  }
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_READ_TO_END_H_
