// The exceptions that are being thrown and handled on this OS thread. A destructor that runs virtual threads in the middle of
// an exception sets them aside around each resume, so that the threads see none of it: neither std::uncaught_exceptions(), by
// which destructors tell a failure from a success, nor std::current_exception().
#ifndef WEFT_LIB_RUNTIME_EXCEPTION_STATE_H_
#define WEFT_LIB_RUNTIME_EXCEPTION_STATE_H_

#include "weft/internal/compiler.h"

#if WEFT_EXCEPTIONS
#include <cxxabi.h>
#endif

namespace weft::internal {

class ExceptionState {
 public:
#if WEFT_EXCEPTIONS
  static ExceptionState SaveAndClear() noexcept {
    Globals& globals = Current();
    const ExceptionState saved(globals);
    globals = Globals{};
    return saved;
  }
  void Restore() const noexcept { Current() = saved_; }

 private:
  // The layout that the Itanium C++ ABI gives __cxa_eh_globals (section 2.2.2).
  struct Globals {
    void* caught_exceptions = nullptr;
    unsigned int uncaught_exceptions = 0;
  };
  static Globals& Current() noexcept { return *reinterpret_cast<Globals*>(abi::__cxa_get_globals()); }
  explicit ExceptionState(const Globals& globals) noexcept : saved_(globals) {}

  Globals saved_;
#else
  static ExceptionState SaveAndClear() noexcept { return {}; }
  void Restore() const noexcept {}
#endif
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_EXCEPTION_STATE_H_
