#include "lib/net/passed_descriptors.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/unique_descriptor.h"

namespace weft::internal {
namespace {

constexpr int kScmPidfd = 4;  // Linux 6.5; not in every header

}  // namespace

absl::Status CheckToPass(std::span<const int> descriptors, absl::string_view what) {
  if (descriptors.size() > kMaxPassedDescriptors) {
    return absl::InvalidArgumentError(absl::StrCat(what, " with ", descriptors.size(),
                                                   " descriptors; a message carries ", kMaxPassedDescriptors));
  }
  for (const int fd : descriptors) {
    if (Sys().fcntl(fd, F_GETFD, 0) < 0) {
      return absl::InvalidArgumentError(absl::StrCat(what, " with descriptor ", fd, ", which is not open"));
    }
  }
  return absl::OkStatus();
}

absl::Status PassingStatus(int error, const DescriptorRef& socket, absl::string_view what) {
  if (error == EBADF && DescriptorUse(socket.get())) {
    return absl::InvalidArgumentError(absl::StrCat(what, " with a descriptor that was closed meanwhile"));
  }
  return SocketStatus(error, what);
}

DescriptorsToPass::DescriptorsToPass(msghdr& message, std::span<const int> descriptors) noexcept {
  if (descriptors.empty()) return;
  message.msg_control = buffer_;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  std::memset(buffer_, 0, message.msg_controllen);  // with its padding
  cmsghdr* const control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size_bytes());
}

ReceivedDescriptors::ReceivedDescriptors(msghdr& message) noexcept : message_(message) {
  message.msg_control = buffer_;
  message.msg_controllen = sizeof(buffer_);
}

ReceivedDescriptors::~ReceivedDescriptors() {
  ForEach(SCM_RIGHTS, [](int fd) { io::UniqueDescriptor(fd).Reset(); });
}

void ReceivedDescriptors::Own() noexcept {
  owns_ = true;
  // Comes where somebody has set SO_PASSPIDFD, and nobody takes it; negative: the kernel had none. By a plain call, as
  // locks of the driver may be held.
  ForEach(kScmPidfd, [](int fd) {
    if (fd >= 0) Sys().close(fd);
  });
}

template <class Visitor>
void ReceivedDescriptors::ForEach(int type, Visitor visit) const noexcept {
  if (!owns_) return;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message_); control != nullptr; control = CMSG_NXTHDR(&message_, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != type) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
      visit(fd);
    }
  }
}

absl::Status ReceivedDescriptors::Take(std::vector<io::UniqueDescriptor>& into, absl::string_view what) {
  size_t count = 0;
  ForEach(SCM_RIGHTS, [&count](int) { ++count; });
  if ((message_.msg_flags & MSG_CTRUNC) != 0) {
    return ErrnoToStatus(EMFILE, absl::StrCat(what, ": descriptors that came with the message are lost, and the ",
                                              count, " that arrived are closed"));
  }
  into.reserve(into.size() + count);  // before anything is taken: it may throw
  ForEach(SCM_RIGHTS, [&into](int fd) { into.emplace_back(fd); });
  owns_ = false;
  return absl::OkStatus();
}

}  // namespace weft::internal
