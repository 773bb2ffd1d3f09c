// Layer testing. eventfd(2).
#ifndef WEFT_LIB_TESTING_MACHINE_EVENT_COUNTER_H_
#define WEFT_LIB_TESTING_MACHINE_EVENT_COUNTER_H_

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

class EventCounter final : public OpenObject {
 public:
  explicit EventCounter(uint64_t initial) noexcept : OpenObject(O_RDWR | O_NONBLOCK), count_(initial) {}

  std::string Describe() const override { return "an eventfd"; }
  uint32_t Readiness() const noexcept override { return EPOLLOUT | (count_ > 0 ? EPOLLIN : 0u); }
  int64_t Read(Parts into) override {
    if (into.empty() || into[0].iov_len < sizeof(count_)) return -EINVAL;
    if (count_ == 0) return -EAGAIN;
    std::memcpy(into[0].iov_base, &count_, sizeof(count_));
    count_ = 0;
    return sizeof(count_);
  }
  int64_t Write(Parts from) override {
    uint64_t added;
    if (from.empty() || from[0].iov_len < sizeof(added)) return -EINVAL;
    std::memcpy(&added, from[0].iov_base, sizeof(added));
    if (added >= UINT64_MAX - count_) return -EAGAIN;
    count_ += added;
    TellReady(EPOLLIN);
    return sizeof(added);
  }

 private:
  uint64_t count_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_EVENT_COUNTER_H_
