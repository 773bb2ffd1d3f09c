// Layer io. What keeps a write to a pipe that nobody reads from killing the process?
#ifndef WEFT_LIB_IO_SIGPIPE_H_
#define WEFT_LIB_IO_SIGPIPE_H_

namespace weft::internal {

// Before the first write(2) to what may be a pipe, which raises SIGPIPE and has no flag against that (unlike a send to
// a socket). Makes the process ignore the signal, unless the program has chosen an action for it. Any thread.
// (sigpipe.cc)
void IgnoreSigpipe() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_SIGPIPE_H_
