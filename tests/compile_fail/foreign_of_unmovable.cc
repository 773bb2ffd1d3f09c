// Foreign() of what cannot be moved into its frame.
// expect: what cannot be moved needs a name: auto read = ReadAsync(); co_await weft::Foreign(read)
#include <coroutine>

#include "weft/weft.h"

struct Read : std::suspend_never {
  Read() = default;
  Read(const Read&) = delete;
};

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::Foreign(Read());
#else
  Read read;
  co_await weft::Foreign(read);
#endif
}
