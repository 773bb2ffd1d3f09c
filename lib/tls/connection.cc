#include "lib/tls/connection.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/tls/byte_queue.h"
#include "lib/tls/engine.h"
#include "weft/cancellation.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/buffer.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/tls/stream.h"

namespace weft::internal {
namespace {

using Step = TlsEngine::Step;
using Next = TlsEngine::Step::Next;

// For an alert, and a write before it, to be taken by the transport: whoever is to have the failure waits for that, and
// the peer may read nothing.
// (Go's crypto/tls waits as long.)
constexpr absl::Duration kAlertTimeout = absl::Seconds(5);

// The parts of a write as pieces to encrypt: a large part by itself, without a copy; small ones gathered.
class Pieces {
 public:
  Pieces(ConstBuffer first, std::span<const ConstBuffer> rest, MutableBuffer gather) noexcept
      : part_(first), rest_(rest), gather_(gather) {}

  // Of all that is left.
  size_t size() const noexcept {
    size_t bytes = part_.size();
    for (const ConstBuffer& part : rest_) bytes += part.size();
    return bytes;
  }
  // At most as large as `gather`, and valid until the next call. Empty: there are no more.
  ConstBuffer Next() noexcept {
    SkipEmpty();
    if (part_.size() >= gather_.size() || rest_.empty()) return Take(gather_.size());
    size_t gathered = 0;
    while (gathered < gather_.size() && !part_.empty()) {
      const ConstBuffer taken = Take(gather_.size() - gathered);
      std::memcpy(gather_.data() + gathered, taken.data(), taken.size());
      gathered += taken.size();
      SkipEmpty();
    }
    return ConstBuffer(gather_.data(), gathered);
  }

 private:
  void SkipEmpty() noexcept {
    while (part_.empty() && !rest_.empty()) {
      part_ = rest_.front();
      rest_ = rest_.subspan(1);
    }
  }

  ConstBuffer Take(size_t at_most) noexcept {
    const ConstBuffer taken = part_.first(at_most);
    part_.remove_prefix(taken.size());
    return taken;
  }

  ConstBuffer part_;
  std::span<const ConstBuffer> rest_;
  const MutableBuffer gather_;
};

// What so many bytes become at most, encrypted in pieces as large as a record.
constexpr size_t SizeOfRecords(size_t bytes) noexcept {
  constexpr size_t kRecord = size_t{16} << 10;
  constexpr size_t kAround = 64;  // a header, a tag, a type (RFC 8446, 5.2), or a nonce and padding (RFC 5246, 6.2.3)
  return bytes + (bytes / kRecord + 1) * kAround;
}

}  // namespace

// While the peer may have a part of what it is to get, or the output has it, from where the next operation would send
// it. If the operation that has this is cancelled, or throws, the stream cannot be written any more. That of a Write()
// is around those of its Drain()s.
class TlsConnection::SendInDoubt {
 public:
  explicit SendInDoubt(TlsConnection& connection) noexcept
      : connection_(connection), before_(connection.sending_state_) {
    connection_.sending_state_ = Sending::kBroken;
  }
  SendInDoubt(const SendInDoubt&) = delete;
  SendInDoubt& operator=(const SendInDoubt&) = delete;

  void Resolve(const absl::Status& sent) noexcept {
    if (sent.ok()) {
      connection_.sending_state_ = before_;
    } else {
      connection_.FailSending(sent);
    }
  }

 private:
  TlsConnection& connection_;
  const Sending before_;
};

Task<absl::StatusOr<tls::Stream>> TlsConnection::Connect(std::shared_ptr<TlsConnection> self) {
  if (absl::Status agreed = co_await self->Handshake(); !agreed.ok()) co_return agreed;
  self->engine_->ForgetOutput();
  self->facts_ = self->engine_->Facts();
  co_return tls::Stream(std::move(self));
}

// Nobody else has the connection yet: the locks are free.
Task<absl::Status> TlsConnection::Handshake() {
  for (;;) {
    const Step step = engine_->Handshake();
    if (step.next != Next::kDone && step.next != Next::kNeedsInput) {
      co_await TellPeer(step);
      co_return step.status;
    }
    absl::Status sent;
    {
      const MutexGuard sending = co_await sending_.Lock();
      sent = co_await Drain();
    }
    if (!sent.ok() || step.next == Next::kDone) co_return sent;
    if (absl::Status received = co_await Receive(step.fed); !received.ok()) co_return received;
  }
}

Task<absl::StatusOr<size_t>> TlsConnection::Read(std::shared_ptr<TlsConnection> self, MutableBuffer buffer) {
  co_await CheckpointAwaiter();
  if (buffer.empty()) co_return size_t{0};
  for (;;) {
    const Step step = self->engine_->Read(buffer);
    switch (step.next) {
      case Next::kDone:
        co_return step.bytes;
      case Next::kEnd:
        co_return size_t{0};
      case Next::kNeedsInput:
        if (absl::Status received = co_await self->Receive(step.fed); !received.ok()) co_return received;
        break;
      case Next::kCutOff:
        co_return step.status;
      case Next::kFailed:
        co_await self->TellPeer(step);
        co_return step.status;
    }
  }
}

Task<absl::Status> TlsConnection::Write(std::shared_ptr<TlsConnection> self, ConstBuffer first,
                                        std::span<const ConstBuffer> rest) {
  const MutexGuard sending = co_await self->sending_.Lock();
  const std::unique_ptr<char[]> gather(rest.empty() ? nullptr : new (std::nothrow) char[kPlainBytes]);
  if (gather == nullptr && !rest.empty()) co_return absl::ResourceExhaustedError("TLS: no memory to gather parts in");
  Pieces pieces(first, rest, {gather.get(), kPlainBytes});
  self->engine_->ExpectOutput(SizeOfRecords(std::min(pieces.size(), kBatchBytes)));
  absl::Status written = pieces.size() > 0 ? self->SendingStatus() : absl::OkStatus();
  std::optional<SendInDoubt> doubt;
  size_t unsent = 0;
  for (ConstBuffer piece = pieces.Next(); !piece.empty() && written.ok(); piece = pieces.Next()) {
    while (!piece.empty() && written.ok()) {
      const Step step = self->engine_->Write(piece);
      switch (step.next) {
        case Next::kDone:
          if (!doubt.has_value()) doubt.emplace(*self);
          piece.remove_prefix(step.bytes);
          unsent += step.bytes;
          break;
        case Next::kNeedsInput:
          // The peer may wait for what it has not got yet.
          written = co_await self->Drain();
          if (written.ok()) written = co_await self->Receive(step.fed);
          break;
        case Next::kFailed:
          written = step.status;
          (co_await WithTimeout(kAlertTimeout, self->SendAlert(step))).IgnoreError();
          break;
        default:
          written = step.status;
      }
    }
    if (written.ok() && unsent >= kBatchBytes) {
      written = co_await self->Drain();
      unsent = 0;
    }
  }
  if (written.ok() && unsent > 0) written = co_await self->Drain();
  if (doubt.has_value()) doubt->Resolve(written);
  self->engine_->ForgetOutput();
  co_return written;
}

Task<absl::Status> TlsConnection::ShutdownWrite(std::shared_ptr<TlsConnection> self) {
  const MutexGuard sending = co_await self->sending_.Lock();
  while (self->sending_state_ != Sending::kEnded || self->closed()) {
    if (absl::Status before = self->SendingStatus(); !before.ok()) co_return before;
    const Step step = self->engine_->ShutdownWrite();
    if (step.next == Next::kNeedsInput) {
      if (absl::Status received = co_await self->Receive(step.fed); !received.ok()) co_return received;
    } else if (step.next == Next::kDone) {
      SendInDoubt doubt(*self);
      absl::Status sent = co_await self->Drain();
      doubt.Resolve(sent);
      if (!sent.ok()) co_return sent;
      self->sending_state_ = Sending::kEnded;
    } else {
      if (step.next == Next::kFailed) {
        (co_await WithTimeout(kAlertTimeout, self->SendAlert(step))).IgnoreError();
      }
      co_return step.status;
    }
  }
  if (self->transport_ended_) co_return absl::OkStatus();  // once both sides have ended, another is an error
  absl::Status ended = co_await self->transport_->ShutdownWrite();
  self->transport_ended_ = ended.ok();
  co_return ended;
}

void TlsConnection::Close() noexcept {
  closed_.store(true, std::memory_order_relaxed);
  engine_->Close();
  transport_->Close();
}

Task<absl::Status> TlsConnection::Drain() {
  SendInDoubt doubt(*this);
  absl::Status sent;
  while (sent.ok()) {
    engine_->SwapOutput(sent_from_);
    if (sent_from_.empty()) break;
    sent = co_await transport_->Write(sent_from_.bytes());
    sent_from_.Clear();
  }
  doubt.Resolve(sent);
  co_return sent;
}

Task<void> TlsConnection::SendAlert(const Step& failed) {
  FailSending(failed.status);
  if (failed.answers_unread || closed()) co_return;
  engine_->SwapOutput(sent_from_);
  if (!sent_from_.empty()) (co_await transport_->Write(sent_from_.bytes())).IgnoreError();
  sent_from_.Clear();
}

Task<void> TlsConnection::TellPeer(const Step& failed) {
  (co_await WithTimeout(kAlertTimeout, [&]() -> Task<void> {
    const MutexGuard sending = co_await sending_.Lock();
    if (SendingStatus().ok()) co_await SendAlert(failed);
  })).IgnoreError();
}

Task<absl::Status> TlsConnection::Receive(uint64_t fed) {
  const MutexGuard receiving = co_await receiving_.Lock();
  if (engine_->fed() != fed) co_return absl::OkStatus();
  const MutableBuffer into = received_in_.Room(kRecordBytes);
  if (into.empty()) co_return absl::ResourceExhaustedError("TLS: no memory to read into");
  const absl::StatusOr<size_t> got = co_await transport_->Read(into);
  if (!got.ok()) co_return got.status();
  received_in_.Add(*got);
  if (*got > 0) co_return engine_->Feed(received_in_);
  engine_->FeedEnd();
  co_return absl::OkStatus();
}

void TlsConnection::FailSending(const absl::Status& failure) noexcept {
  sending_state_ = Sending::kFailed;
  send_failure_ = failure;
}

absl::Status TlsConnection::SendingStatus() const {
  if (closed()) return internal::ErrnoToStatus(EBADF, "TLS write on a stream that was closed here");
  switch (sending_state_) {
    case Sending::kIntact:
      break;
    case Sending::kBroken:
      return absl::FailedPreconditionError(
          "TLS write: an earlier write was cancelled, or threw, after it had begun to send: the peer may have a part");
    case Sending::kFailed:
      return send_failure_;
    case Sending::kEnded:
      return internal::ErrnoToStatus(EPIPE, "TLS write after ShutdownWrite()");
  }
  return absl::OkStatus();
}

}  // namespace weft::internal
