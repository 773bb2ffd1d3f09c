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

inline constexpr size_t kDescriptorsBytes = CMSG_SPACE(kMaxPassedDescriptors * sizeof(int));
// For what comes beside them where somebody has set an option that asks for it: credentials, the sender's pidfd, a
// security context, a time.
inline constexpr size_t kOtherControlBytes = 256;

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
  alignas(cmsghdr) char buffer_[kDescriptorsBytes];
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
  void Own() noexcept;
  // Appends them to `into`; or closes them, and says so, if some were lost.
  absl::Status Take(std::vector<io::UniqueDescriptor>& into, absl::string_view what);

 private:
  // Calls visit(int) for each, of control messages of this type.
  template <class Visitor>
  void ForEach(int type, Visitor visit) const noexcept;

  msghdr& message_;
  bool owns_ = false;
  alignas(cmsghdr) char buffer_[kDescriptorsBytes + kOtherControlBytes];
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_PASSED_DESCRIPTORS_H_
