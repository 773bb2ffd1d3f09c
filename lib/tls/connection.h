// Layer tls. An engine and its transport: who moves what between the two, and who waits for whom.
//
//   lock        held over                              by
//   sending_    encrypting, and all of the output's    Write(), ShutdownWrite(), the handshake; a Read() that has
//               way into the transport                 failed, for the alert
//   receiving_  a read of the transport, and the       whoever needs input
//               engine's Feed()
//
// A holder of sending_ may wait for receiving_, never the other way round. Records leave in the order in which they are
// encrypted, because both are done under sending_. Whoever needs input asks, once it has receiving_, whether another
// thread has fed the engine since: then it tries again first.
//
// The alert of an engine that has failed is the last thing in its output. Whoever finds the engine failed sends it, if
// nobody has. A Read() waits for sending_ to do so, because the write under way may have looked at the output for the
// last time.
#ifndef WEFT_LIB_TLS_CONNECTION_H_
#define WEFT_LIB_TLS_CONNECTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tls/byte_queue.h"
#include "lib/tls/engine.h"
#include "weft/internal/atomic.h"
#include "weft/io/buffer.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/tls/stream.h"
#include "weft/tls/transport.h"

namespace weft::internal {

// Shared by its Stream and the operations under way.
class TlsConnection {
 public:
  // What a record takes at most (RFC 8446, 5.2, and RFC 5246, 6.2.3), with its header.
  static constexpr size_t kRecordBytes = (size_t{16} << 10) + 2048 + 5;

  TlsConnection(std::unique_ptr<TlsTransport> transport, std::unique_ptr<TlsEngine> engine) noexcept
      : transport_(std::move(transport)), engine_(std::move(engine)) {}

  // Makes the handshake, and the stream.
  static Task<absl::StatusOr<tls::Stream>> Connect(std::shared_ptr<TlsConnection> self);

  static Task<absl::StatusOr<size_t>> Read(std::shared_ptr<TlsConnection> self, MutableBuffer buffer);
  // Writes `first`, and then `rest`.
  static Task<absl::Status> Write(std::shared_ptr<TlsConnection> self, ConstBuffer first,
                                  std::span<const ConstBuffer> rest);
  static Task<absl::Status> ShutdownWrite(std::shared_ptr<TlsConnection> self);
  void Close() noexcept;

  const TlsFacts& facts() const noexcept { return facts_; }
  const TlsTransport& transport() const noexcept { return *transport_; }

 private:
  // What is encrypted in one piece: a record, unless the peer wants smaller ones.
  static constexpr size_t kPlainBytes = size_t{16} << 10;
  // What is encrypted before it is sent: a call of the transport for each record costs more than the encryption.
  static constexpr size_t kBatchBytes = 4 * kPlainBytes;

  enum class Sending : uint8_t {
    kIntact,
    kBroken,  // an operation that sent was cancelled, or threw: nobody knows how much of it the peer has
    kFailed,  // an operation that sent has failed, or the peer was told of another failure: send_failure_
    kEnded,   // the close_notify was sent
  };
  class SendInDoubt;

  Task<absl::Status> Handshake();
  // The engine's output into the transport. The caller has sending_, and has looked at SendingStatus().
  Task<absl::Status> Drain();
  // Ends the writing with a failure of the engine, and sends the peer what is in the output: the rest of what was
  // encrypted before, and the alert. Whether that arrives changes nothing. The caller has sending_.
  Task<void> SendAlert(const TlsEngine::Step& failed);
  // The same for a caller without sending_.
  Task<void> TellPeer(const TlsEngine::Step& failed);
  // Waits for what the peer sends, unless the engine was fed since it was at `fed`.
  Task<absl::Status> Receive(uint64_t fed);
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  // The callers of both have sending_.
  void FailSending(const absl::Status& failure) noexcept;
  absl::Status SendingStatus() const;

  const std::unique_ptr<TlsTransport> transport_;
  const std::unique_ptr<TlsEngine> engine_;
  TlsFacts facts_;  // constant once there is a stream
  Atomic<bool> closed_{false};  // relaxed: nothing is read for what it says

  Mutex sending_;
  // Under sending_:
  ByteQueue sent_from_;  // empty, except while the transport writes
  Sending sending_state_ = Sending::kIntact;
  bool transport_ended_ = false;  // its ShutdownWrite() has succeeded
  absl::Status send_failure_;

  Mutex receiving_;
  // Under receiving_:
  ByteQueue received_in_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_CONNECTION_H_
