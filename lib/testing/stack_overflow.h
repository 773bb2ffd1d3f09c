// Layer testing. What does a program say whose fiber has used up its stack?
//
// A fiber's stack ends at a guard (fiber.h). Who runs into it gets a SIGSEGV, and no stack is left to handle that on:
// so each OS thread that has fibers gets an alternate one. The handler says in one line whose stack is used up, and
// goes on with what was there before it: the handler of a sanitizer or of a test, or the end of the process. A SIGSEGV
// anywhere else goes there at once.
#ifndef WEFT_LIB_TESTING_STACK_OVERFLOW_H_
#define WEFT_LIB_TESTING_STACK_OVERFLOW_H_

namespace weft::internal {

// The calling OS thread is about to have fibers. Idempotent.
void WatchForStackOverflow() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_STACK_OVERFLOW_H_
