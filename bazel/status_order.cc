// How does ThreadSanitizer learn that the last of several threads that share an absl::Status may free it?
//
// A copy of a status counts up in Abseil's header, which ThreadSanitizer sees. Dropping a copy counts down in Abseil's
// archive, which Debian built without it. So it saw a counter that one thread writes and memory that another one frees,
// and nothing in between. The linker puts this function before that of the archive (--wrap): it counts down itself, and
// leaves to the archive what the last one frees.
//
// Linked only into programs that are built with ThreadSanitizer and use the Abseil of Debian (system_absl.bzl).
// WEFT_UNREF is how the archive calls Status::UnrefNonInlined().
#include <atomic>
#include <cstdint>

#include "absl/status/internal/status_internal.h"

#define WEFT_NAME_OF(symbol) #symbol
#define WEFT_NAMED(prefix, symbol) asm(prefix WEFT_NAME_OF(symbol))

extern "C" {
void UnrefInArchive(uintptr_t rep) WEFT_NAMED("__real_", WEFT_UNREF);
void Unref(uintptr_t rep) WEFT_NAMED("__wrap_", WEFT_UNREF);
}

void Unref(uintptr_t rep) {
  // As Status::RepToPointer(), which is private.
  std::atomic<int32_t>& references = reinterpret_cast<absl::status_internal::StatusRep*>(rep - 1)->ref;
  // acq_rel, as in the archive: what each thread did with the status comes before it is freed.
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // relaxed: nobody else has it any more. The archive finds the one reference that it drops.
  references.store(1, std::memory_order_relaxed);
  UnrefInArchive(rep);
}
