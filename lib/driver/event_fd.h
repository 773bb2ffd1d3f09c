// Layer driver. What ends a wait in the kernel when somebody rings?
//
// An eventfd: a counter that can be waited for like a socket. It stays ready from a Signal() to the next Drain().
#ifndef WEFT_LIB_DRIVER_EVENT_FD_H_
#define WEFT_LIB_DRIVER_EVENT_FD_H_

namespace weft::internal {

// Owns the descriptor.
class EventFd {
 public:
  EventFd() noexcept = default;
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;
  ~EventFd();

  // Once, before anything else. Returns an errno, 0 if it is open.
  int Open() noexcept;
  int fd() const noexcept { return fd_; }

  // Any OS thread; async-signal-safe. Leaves errno alone.
  void Signal() noexcept;
  // Does not wait. Whoever calls knows that the signals so far have been heeded.
  void Drain() noexcept;

 private:
  int fd_ = -1;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EVENT_FD_H_
