// Pin: keeps the virtual thread that makes it on its carrier, and so on one OS thread, for as long as it lives.
//
//   weft::Pin pin;
//   BeginContext();            // of a C library, which keeps it in a thread_local
//   co_await socket.Read(buffer);
//   EndContext();              // on the OS thread that has begun it
//
// For code that belongs to an OS thread: what a C library keeps in a `thread_local` over a co_await, graphics contexts,
// locks that the OS thread which took them must give back. A value of your own is better kept in a VirtualThreadLocal
// (virtual_thread_local.h).
//
// It lasts over every suspension: whoever wakes the thread, it goes on here. Only this thread is pinned: not those that
// it starts, not the branches of its All(), and not what Blocking() and foreign code run on other OS threads. Other
// threads run on the carrier as before, in turn with this one: they must not disturb what it has there.
//
// Pins count: the thread may move again when the last one is gone, and not before. At most 65,535 at once.
//
// A pinned thread has no other carrier. It waits while another thread holds this one: by computing, by a call that
// blocks, or in the destructor of a scope with children (held_carrier.h). The spare carrier that then serves the others
// cannot help it. If what holds the carrier waits for a pinned thread of the same carrier, both wait for ever.
//
// Lifetime. The thread that has made a Pin destroys it, also by unwinding: keep it in a frame. On another thread that
// is a CHECK, as is a Pin that is left when its thread ends. A Pin outside of a virtual thread is a CHECK: an OS thread
// stays where it is.
//
// Errors. Without memory for what handles share (virtual_thread.h), the first Pin of a thread throws std::bad_alloc;
// where exceptions are off, the program ends.
// Cost: threads without a Pin pay nothing. A pinned thread that is woken takes a lock, and if its carrier sleeps, that
// is woken for it alone. If its carrier is busy, it may wait for 61 dispatches more than another thread would.
#ifndef WEFT_PIN_H_
#define WEFT_PIN_H_

#include "weft/internal/compiler.h"

#include "weft/internal/thread_identity.h"

namespace weft {

class [[nodiscard("give the Pin a name: it lasts to the end of its block")]] Pin {
 public:
  Pin();
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

 private:
  internal::ThreadIdentity& pinned_;
};

}  // namespace weft

#endif  // WEFT_PIN_H_
