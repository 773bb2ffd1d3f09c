// Layer base. The exceptions that are being thrown and handled on this OS thread. Code that runs other code in the
// middle of an exception, or that switches to another stack, sets them aside meanwhile. The other code then sees none
// of them: neither std::uncaught_exceptions(), by which destructors tell a failure from a success, nor
// std::current_exception().
#ifndef WEFT_LIB_BASE_EXCEPTION_STATE_H_
#define WEFT_LIB_BASE_EXCEPTION_STATE_H_

#include <utility>

#include "weft/internal/compiler.h"

#if WEFT_EXCEPTIONS
// Of the C++ ABI, as libstdc++ declares it; libc++abi has it and does not declare it.
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals() noexcept;
}  // namespace __cxxabiv1
#endif

namespace weft::internal {

class ExceptionState {
 public:
  // None.
  ExceptionState() noexcept = default;

  // Puts `next` in force on this OS thread. Returns what was.
#if WEFT_EXCEPTIONS
  static ExceptionState Exchange(const ExceptionState& next) noexcept {
    return std::exchange(*reinterpret_cast<ExceptionState*>(__cxxabiv1::__cxa_get_globals()), next);
  }

 private:
  // The beginning of __cxa_eh_globals, as the Itanium C++ ABI lays it out (section 2.2.2).
  [[maybe_unused]] void* caught_exceptions_ = nullptr;
  [[maybe_unused]] unsigned int uncaught_exceptions_ = 0;
#else
  static ExceptionState Exchange(const ExceptionState&) noexcept { return {}; }
#endif
};

}  // namespace weft::internal

#endif  // WEFT_LIB_BASE_EXCEPTION_STATE_H_
