// Readers wait only while nothing is on its way, and writers only while the ring is full and no reader waits. So those
// that wait are of one kind at any time, and one queue is enough. A thread that comes serves those that wait: a writer
// copies into the memory of a reader that waits, without the ring, and a reader takes what writers that wait could not
// put into the ring. A thread that is woken has its bytes: a read that was granted is not cancelled any more, and a
// read that is cancelled has taken none.
#include "weft/internal/byte_pipe.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>

#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

namespace {

// Moves as many bytes as `from` has and `into` takes.
void Move(PipeParty& from, PipeParty& into) noexcept {
  const size_t count = std::min(from.size - from.moved, into.size - into.moved);
  if (count > 0) std::memcpy(into.into + into.moved, from.from + from.moved, count);
  from.moved += count;
  into.moved += count;
}

}  // namespace

const WaitKind BytePipe::kRead = {ParkReason::kReceive, /*timed=*/false, &BytePipe::Withdraw};
const WaitKind BytePipe::kWrite = {ParkReason::kSend, /*timed=*/false, &BytePipe::Withdraw};

BytePipe::BytePipe(size_t capacity)
    : capacity_(capacity), ring_(capacity == 0 ? nullptr : std::make_unique_for_overwrite<char[]>(capacity)) {}

bool BytePipe::Try(PipeParty& party) noexcept {
  WaitNodes granted;
  bool done;
  {
    std::lock_guard guard(waiters_.lock);
    done = TryLocked(party, granted);
  }
  Waiters::WakeAll(granted);
  return done;
}

// After WaitIn() the party may be gone.
void BytePipe::Suspend(PipeParty& party, AwaitingFrame frame) noexcept {
  WaitNodes granted;
  WaitIn(waiters_, &party, frame, party.writes ? kWrite : kRead, [&] { return TryLocked(party, granted); });
  Waiters::WakeAll(granted);
}

bool BytePipe::Withdraw(ThreadBlock& thread) noexcept {
  Waiters& waiters = static_cast<PipeParty*>(thread.waiting_on)->pipe->waiters_;
  std::lock_guard guard(waiters.lock);
  return waiters.WithdrawLocked(thread);
}

bool BytePipe::TryLocked(PipeParty& party, WaitNodes& granted) noexcept {
  if (party.done) return true;
  if (party.writes) {
    WriteLocked(party, granted);
  } else {
    ReadLocked(party, granted);
  }
  return party.done;
}

void BytePipe::ReadLocked(PipeParty& reader, WaitNodes& granted) noexcept {
  if (reader_ == Side::kClosed) {
    reader.error = EBADF;
    reader.done = true;
    return;
  }
  TakeLocked(reader);
  while (PipeParty* const writer = WaitingLocked(/*writes=*/true)) {
    if (size_ == 0) Move(*writer, reader);
    PutLocked(*writer);
    if (writer->moved < writer->size) break;
    GrantLocked(*writer, granted);
  }
  reader.done = reader.moved > 0 || reader.size == 0 || writer_ != Side::kOpen || reader_ != Side::kOpen;
}

void BytePipe::WriteLocked(PipeParty& writer, WaitNodes& granted) noexcept {
  writer.done = true;
  if (writer_ == Side::kClosed) {
    writer.error = EBADF;
  } else if (writer_ == Side::kShutDown || reader_ != Side::kOpen) {
    writer.error = EPIPE;
  } else {
    while (writer.moved < writer.size) {
      PipeParty* const reader = WaitingLocked(/*writes=*/false);
      if (reader == nullptr) break;
      Move(writer, *reader);
      GrantLocked(*reader, granted);
    }
    if (WaitingLocked(/*writes=*/true) == nullptr) PutLocked(writer);
    writer.done = writer.moved == writer.size;
  }
}

// The first of those that wait, if they are of this kind.
PipeParty* BytePipe::WaitingLocked(bool writes) noexcept {
  if (waiters_.nodes.empty()) return nullptr;
  auto* const party = static_cast<PipeParty*>(Waiters::ThreadOf(*waiters_.nodes.front()).waiting_on);
  return party->writes == writes ? party : nullptr;
}

// `party` is the first of those that wait.
void BytePipe::GrantLocked(PipeParty& party, WaitNodes& granted) noexcept {
  party.done = true;
  granted.PushBack(waiters_.Grant());
}

void BytePipe::TakeLocked(PipeParty& reader) noexcept {
  while (size_ > 0 && reader.moved < reader.size) {
    const size_t count = std::min({size_, capacity_ - first_, reader.size - reader.moved});
    std::memcpy(reader.into + reader.moved, ring_.get() + first_, count);
    reader.moved += count;
    first_ = (first_ + count) % capacity_;
    size_ -= count;
  }
}

void BytePipe::PutLocked(PipeParty& writer) noexcept {
  while (size_ < capacity_ && writer.moved < writer.size) {
    const size_t at = (first_ + size_) % capacity_;
    const size_t count = std::min({capacity_ - size_, capacity_ - at, writer.size - writer.moved});
    std::memcpy(ring_.get() + at, writer.from + writer.moved, count);
    writer.moved += count;
    size_ += count;
  }
}

// A side was closed: all that wait look again, and none of them has to wait any more.
void BytePipe::EndAllLocked(WaitNodes& granted) noexcept {
  while (!waiters_.nodes.empty()) {
    auto& party = *static_cast<PipeParty*>(Waiters::ThreadOf(*waiters_.nodes.front()).waiting_on);
    if (party.writes) {
      party.error = writer_ == Side::kClosed ? EBADF : EPIPE;
    } else {
      party.error = reader_ == Side::kClosed ? EBADF : 0;
    }
    GrantLocked(party, granted);
  }
}

void BytePipe::EndSide(Side& side, Side how) noexcept {
  WaitNodes granted;
  {
    std::lock_guard guard(waiters_.lock);
    if (side == Side::kClosed) return;
    side = how;
    if (reader_ == Side::kClosed) size_ = 0;
    EndAllLocked(granted);
  }
  Waiters::WakeAll(granted);
  ended_.Set();
}

void BytePipe::ShutdownWriter() noexcept { EndSide(writer_, Side::kShutDown); }
void BytePipe::CloseWriter() noexcept { EndSide(writer_, Side::kClosed); }
void BytePipe::ShutdownReader() noexcept { EndSide(reader_, Side::kShutDown); }
void BytePipe::CloseReader() noexcept { EndSide(reader_, Side::kClosed); }

bool BytePipe::writer_is_closed() const noexcept {
  std::lock_guard guard(waiters_.lock);
  return writer_ == Side::kClosed;
}

bool BytePipe::reader_is_closed() const noexcept {
  std::lock_guard guard(waiters_.lock);
  return reader_ == Side::kClosed;
}

}  // namespace weft::internal
