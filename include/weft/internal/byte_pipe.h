// One direction of a MemoryStream: bytes on their way from a writer to a reader.
#ifndef WEFT_INTERNAL_BYTE_PIPE_H_
#define WEFT_INTERNAL_BYTE_PIPE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"
#include "weft/sync/event.h"

namespace weft::internal {

class BytePipe;

// One Read() or Write(). Lies in the awaiter.
struct PipeParty {
  BytePipe* pipe;
  bool writes;
  char* into;        // a reader's
  const char* from;  // a writer's
  size_t size;
  size_t moved = 0;
  int error = 0;
  bool done = false;
};

class BytePipe {
 public:
  explicit BytePipe(size_t capacity);
  BytePipe(const BytePipe&) = delete;
  BytePipe& operator=(const BytePipe&) = delete;

  // True: it is over, and party.moved and party.error say how.
  bool Try(PipeParty& party) noexcept;
  // For await_suspend.
  void Suspend(PipeParty& party, AwaitingFrame frame) noexcept;

  // By the writer: its writes fail with EPIPE; the reader gets what is on its way, and then 0.
  void ShutdownWriter() noexcept;
  // The same, but its writes fail with EBADF.
  void CloseWriter() noexcept;
  // By the reader: the writes fail with EPIPE; its reads get what is on its way, and then 0.
  void ShutdownReader() noexcept;
  // The same, but its reads fail with EBADF, and what is on its way is dropped.
  void CloseReader() noexcept;
  bool writer_is_closed() const noexcept;  // not shut down: closed
  bool reader_is_closed() const noexcept;  // the same
  // Set when one side has shut down or closed: no more will be written.
  Event& ended() noexcept { return ended_; }

 private:
  enum class Side : unsigned char { kOpen, kShutDown, kClosed };

  bool TryLocked(PipeParty& party, WaitNodes& granted) noexcept;
  void ReadLocked(PipeParty& reader, WaitNodes& granted) noexcept;
  void WriteLocked(PipeParty& writer, WaitNodes& granted) noexcept;
  PipeParty* WaitingLocked(bool writes) noexcept;
  void GrantLocked(PipeParty& party, WaitNodes& granted) noexcept;
  void EndAllLocked(WaitNodes& granted) noexcept;
  void EndSide(Side& side, Side how) noexcept;
  void PutLocked(PipeParty& writer) noexcept;
  void TakeLocked(PipeParty& reader) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;
  static const WaitKind kRead, kWrite;

  mutable Waiters waiters_;  // its lock guards all that follows, up to reader_
  const size_t capacity_;
  const std::unique_ptr<char[]> ring_;
  size_t first_ = 0;  // of the bytes in ring_
  size_t size_ = 0;
  Side writer_ = Side::kOpen;
  Side reader_ = Side::kOpen;

  Event ended_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BYTE_PIPE_H_
