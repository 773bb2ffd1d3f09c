// Layer testing. What does a program report when a fiber has used up its stack?
//
// A fiber's stack ends at a guard (fiber.h). A fiber that runs into it gets a SIGSEGV, and has no stack left for a
// handler. So each OS thread with fibers has an alternate signal stack. The handler says in one line which stack is
// used up, and then calls the handler that was there before: that of a sanitizer or a test, or the end of the process.
// A SIGSEGV anywhere else goes to the earlier handler at once.
#ifndef WEFT_LIB_TESTING_STACK_OVERFLOW_H_
#define WEFT_LIB_TESTING_STACK_OVERFLOW_H_

namespace weft::internal {

// The calling OS thread is about to have fibers. Idempotent.
void WatchForStackOverflow() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_STACK_OVERFLOW_H_
