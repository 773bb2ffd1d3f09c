// Layer base. How does Weft say that the program is wrong?
//
//   WEFT_CHECK(owner == self) << "Fork() by " << self << "; the scope is owned by " << owner;
//
// A failed check writes one line to standard error, "file:line: CHECK failed: condition: sentence", and ends the
// process with std::abort(). It is for misuse and for broken invariants; what can happen in a correct program is an
// absl::Status instead. The sentence names both sides of the disagreement.
//
// `WEFT_CHECK` is always compiled in. `WEFT_DCHECK` is compiled, but not evaluated, where NDEBUG is defined; use it
// where the condition costs more than a predicted branch.
//
// Any thread may fail a check, at any time, also within `noexcept` functions and destructors.
//
// Cost: one predicted branch. The operands of `<<` are evaluated on failure only.
#ifndef WEFT_INTERNAL_CHECK_H_
#define WEFT_INTERNAL_CHECK_H_

#include "weft/internal/compiler.h"

#include <ostream>

// `while`, so that the macro is one statement and takes no foreign `else`; the destructor does not return.
#define WEFT_CHECK(condition) \
  while (__builtin_expect(!(condition), 0)) ::weft::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()

#ifdef NDEBUG
#define WEFT_DCHECK(condition) WEFT_CHECK(true || (condition))
#else
#define WEFT_DCHECK(condition) WEFT_CHECK(condition)
#endif

namespace weft::internal {

// The message of one failed check; its destructor prints it and ends the process.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure();

  std::ostream& stream();

 private:
  struct Message;
  Message* message_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CHECK_H_
