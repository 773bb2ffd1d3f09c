// Layer io. What keeps a write to a pipe that nobody reads from killing the process?
#ifndef WEFT_LIB_IO_SIGPIPE_H_
#define WEFT_LIB_IO_SIGPIPE_H_

#include <signal.h>

namespace weft::internal {

// Before the first write(2) to what may be a pipe, which raises SIGPIPE and has no flag against that (unlike a send to
// a socket). Makes the process ignore the signal, unless the program has chosen an action for it. Any thread.
// (sigpipe.cc)
void IgnoreSigpipe() noexcept;
// Puts back the action of before, for whoever has handled the signal for a while. After an IgnoreSigpipe(), which may
// have found the handler and done nothing, the default action becomes to ignore the signal.
void PutBackSigpipe(const struct sigaction& before) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_SIGPIPE_H_
