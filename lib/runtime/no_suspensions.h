// Layer runtime. May the thread that is mounted here suspend? (weft/no_suspension.h)
//
// A NoSuspension lives within one turn of its thread, or the check fails. So it is listed in the carrier, and a thread
// needs no place for it. The carrier checks wherever a thread loses it: when resume() has returned to the loop of
// dispatch.cc, before a child or a branch begins in its owner's place, and before others run within a destructor.
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

  // A thread is suspended. It waits at `where`, if that is known. `current`: it, if it is still mounted.
  void Check(const ThreadBlock* current, const std::source_location& where) noexcept {
    if constexpr (kChecked) {
      if (!alive_.empty()) [[unlikely]]
        Die(current, where);
    }
  }

 private:
  using Alive = List<NoSuspensionNode, NoSuspensionTag>;

  [[noreturn, gnu::cold, gnu::noinline]] void Die(const ThreadBlock* current,
                                                  const std::source_location& where) noexcept;

  Alive alive_;  // the newest is the first
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_NO_SUSPENSIONS_H_
