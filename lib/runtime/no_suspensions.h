// Layer runtime. May the thread that is mounted here suspend? (weft/no_suspension.h)
//
// A NoSuspension lives within one turn of its thread, or the check fails. So it is listed in the carrier, and a thread
// needs no place for it. The carrier checks wherever a thread is about to suspend, while it is still this carrier's:
// before it parks or yields; before it waits for children, since the last of them may make it run elsewhere at once;
// and before others run within a destructor.
//
// Who may call: the carrier, or the thread that is mounted on it. (Implemented in no_suspension.cc.)
#ifndef WEFT_LIB_RUNTIME_NO_SUSPENSIONS_H_
#define WEFT_LIB_RUNTIME_NO_SUSPENSIONS_H_

#include <source_location>

#include "lib/base/list.h"
#include "weft/internal/thread_block.h"
#include "weft/no_suspension.h"

namespace weft::internal {

class NoSuspensions {
 public:
#ifdef NDEBUG
  static constexpr bool kChecked = false;
#else
  static constexpr bool kChecked = true;
#endif

  void Add(NoSuspensionNode& node) noexcept { alive_.PushFront(&node); }
  static void Remove(NoSuspensionNode& node) noexcept { Alive::Remove(&node); }

  // The thread, which is mounted, suspends. It waits at `where`, if that is known.
  void Check(const ThreadBlock& thread, const std::source_location& where) noexcept {
    if constexpr (kChecked) {
      if (!alive_.empty()) [[unlikely]]
        Die(thread, where);
    }
  }

 private:
  using Alive = List<NoSuspensionNode, NoSuspensionTag>;

  [[noreturn, gnu::cold, gnu::noinline]] void Die(const ThreadBlock& thread,
                                                  const std::source_location& where) noexcept;

  Alive alive_;  // the newest is the first
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_NO_SUSPENSIONS_H_
