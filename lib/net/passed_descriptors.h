// Layer net. How do descriptors travel with a message?
//
// As a control message, SCM_RIGHTS (unix(7)). The kernel gives the receiver duplicates, and closes those for which the
// receiver has left no space, or which it may not have (EMFILE); it says so by MSG_CTRUNC. Here there is space for as
// many as a message can carry, so a truncation means that the process is short of descriptors.
//
// Nothing leaks. Whatever comes is owned by a ReceivedDescriptors in the receiver's frame from the call on, on
// whichever carrier that is made, and also if the receiver is cancelled then.
#ifndef WEFT_LIB_NET_PASSED_DESCRIPTORS_H_
#define WEFT_LIB_NET_PASSED_DESCRIPTORS_H_

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "weft/internal/descriptor.h"
#include "weft/io/unique_descriptor.h"

namespace weft::internal {

// The kernel's SCM_MAX_FD.
inline constexpr size_t kMaxPassedDescriptors = 253;

struct DescriptorsBuffer {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kMaxPassedDescriptors * sizeof(int))];
};

// Are these descriptors that a message can carry? kInvalidArgument says why not. Another thread may still close one.
absl::Status CheckToPass(std::span<const int> descriptors, absl::string_view what);

// The error of a message that was to carry descriptors. Its EBADF may be that of one that was closed meanwhile.
absl::Status PassingStatus(int error, const DescriptorRef& socket, absl::string_view what);

// In a frame, until the message has been sent. (passed_descriptors.cc)
class DescriptorsToPass {
 public:
  // `descriptors`: at most kMaxPassedDescriptors, perhaps none.
  DescriptorsToPass(msghdr& message, std::span<const int> descriptors) noexcept;
  DescriptorsToPass(const DescriptorsToPass&) = delete;
  DescriptorsToPass& operator=(const DescriptorsToPass&) = delete;

 private:
  DescriptorsBuffer buffer_;
};

// In a frame; closes what is not taken. (passed_descriptors.cc)
class ReceivedDescriptors {
 public:
  // Makes space for them in the message.
  explicit ReceivedDescriptors(msghdr& message) noexcept;
  ReceivedDescriptors(const ReceivedDescriptors&) = delete;
  ReceivedDescriptors& operator=(const ReceivedDescriptors&) = delete;
  ~ReceivedDescriptors();

  // The message has been received. Any thread.
  void Own() noexcept { owns_ = true; }
  // Appends them to `into`; or closes them, and says so, if some were lost.
  absl::Status Take(std::vector<io::UniqueDescriptor>& into, absl::string_view what);

 private:
  // Calls visit(int) for each.
  template <class Visitor>
  void ForEach(Visitor visit) const noexcept;

  msghdr& message_;
  bool owns_ = false;
  DescriptorsBuffer buffer_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_PASSED_DESCRIPTORS_H_
