// Layer runtime. What becomes of a thread in its turn through the carrier's loop?
//
//   RunThread(thread)
//     begins it, or goes on with it        BeginOrResume(), ResumeOrUnwind()
//     resume(), which returns when the thread, or whichever ran in its place last, can go on no further
//     acts on Turn::action                 parks it, puts it behind the others, unwinds it; or it is gone
//
// A thread that has parked belongs to nobody, and one that has yielded to its queue: from then on another carrier may
// run it, and nothing here touches it.
//
// Who may call: the OS thread, or the fiber, that runs the carrier, with no virtual thread mounted, or from a
// destructor that waits for children (pinned_run.h).
#ifndef WEFT_LIB_RUNTIME_DISPATCH_H_
#define WEFT_LIB_RUNTIME_DISPATCH_H_

#include <coroutine>
#include <cstdint>

#include "lib/runtime/in_place_branches.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class Dispatch : public InPlaceBranches {
 public:
  // Runs `first`, and whatever runs in its place.
  void RunThread(ThreadBlock& first) noexcept;

 protected:
  using InPlaceBranches::InPlaceBranches;
  ~Dispatch() = default;

 private:
  void RunChain(ThreadBlock& first) noexcept;
  std::coroutine_handle<> BeginOrResume(ThreadBlock& thread) noexcept;
  static bool IsToEndUnstarted(ThreadBlock& thread) noexcept;
  std::coroutine_handle<> ResumeOrUnwind(ThreadBlock& thread) noexcept;
  bool MayGoOn() noexcept;
  bool YieldsToNobody() noexcept;
  enum class AfterPark : uint8_t { kGone, kGoOn };
  AfterPark Park(ThreadBlock& thread) noexcept;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_DISPATCH_H_
