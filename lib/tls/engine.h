// Layer tls. The protocol of one connection, without its transport: what the peer has sent is fed in, and what the peer
// is to get is taken out. Does not wait.
//
// Every call of OpenSSL on a connection is made here, under lock_, from which it returns with its errors taken. The
// lock blocks the OS thread, for as long as the call computes (tls/stream.h has figures).
#ifndef WEFT_LIB_TLS_ENGINE_H_
#define WEFT_LIB_TLS_ENGINE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/tls/byte_queue.h"
#include "lib/tls/openssl.h"
#include "weft/internal/lock.h"
#include "weft/io/buffer.h"
#include "weft/tls/context.h"
#include "weft/tls/stream.h"

namespace weft::internal {

struct TlsContext;

// What a connection's two sides have agreed on.
struct TlsFacts {
  std::string version;
  std::string cipher;
  std::string alpn;
  std::string server_name;
  bool resumed = false;
  std::optional<tls::Certificate> peer_certificate;
};

// Any thread may call any function at any time.
class TlsEngine {
 public:
  // What became of a call.
  struct Step {
    enum class Next : uint8_t {
      kDone,
      kNeedsInput,  // nothing has been done: Feed(), and call again
      kEnd,         // the peer will write no more; a failure, which `status` says, except of Read()
      kCutOff,      // it needs input, and there will be none; `status` says so
      kFailed,      // `status` says why; there may be an alert to send
    };
    Next next;
    size_t bytes = 0;             // of Read() and Write(), if kDone
    uint64_t fed = 0;             // fed() at the time of the call
    bool answers_unread = false;  // the peer asks for answers and reads none: it would not read an alert either
    absl::Status status = {};
  };

  // kInvalidArgument: no host name although there has to be one, or one that is none; a Context of the other side.
  static absl::StatusOr<std::unique_ptr<TlsEngine>> Client(const tls::Context& context, std::string host);
  static absl::StatusOr<std::unique_ptr<TlsEngine>> Server(const tls::Context& context);

  ~TlsEngine();

  Step Handshake();
  Step Read(MutableBuffer into);
  // Encrypts one record at most.
  Step Write(ConstBuffer from);
  // Adds a close_notify to the output; once.
  Step ShutdownWrite();
  // Every later step fails with io::IsClosed().
  void Close() noexcept;

  // Takes the bytes out of `from_peer`.
  absl::Status Feed(ByteQueue& from_peer);
  void FeedEnd() noexcept;
  // How often there was a Feed() or a FeedEnd().
  uint64_t fed() const noexcept;
  // So many bytes of output are to be expected: room for them is made at once. A hint.
  void ExpectOutput(size_t bytes) noexcept;
  // Exchanges the output, which the peer is to get next, for `taken`, which is empty, and whose memory the output uses
  // from here on.
  void SwapOutput(ByteQueue& taken) noexcept;
  // Gives back the memory of an output that is empty.
  void ForgetOutput() noexcept;

  // After the handshake.
  TlsFacts Facts();

  // OpenSSL's callback for a session that can be resumed. Takes it.
  static int OnNewSession(SSL* ssl, SSL_SESSION* session) noexcept;

 private:
  static constexpr size_t kMaxNewSessions = 4;
  // What readers leave in the output. More means a peer that wants answers and does not read them.
  static constexpr size_t kMaxUnsentAnswers = size_t{64} << 10;

  TlsEngine(std::shared_ptr<const TlsContext> context, std::string host) noexcept;
  static absl::StatusOr<std::unique_ptr<TlsEngine>> Make(std::shared_ptr<const TlsContext> context, std::string host);
  absl::Status NameHost();
  // Makes `call`, a call of OpenSSL on ssl_ that yields 1 if it has succeeded, under the lock.
  template <class Call>
  Step Make(absl::string_view what, Call call);
  template <class Call>
  Step MakeLocked(absl::string_view what, Call& call);
  absl::Status FailureLocked(absl::string_view what);
  absl::Status CutOffLocked(absl::string_view what) const;
  std::string Peer() const;
  void KeepNewSessions();

  const std::shared_ptr<const TlsContext> context_;
  const std::string host_;  // a client's, whom it talks to; may be empty

  mutable Lock lock_;
  // Under lock_:
  ByteQueue input_;  // ssl_ reads from it and writes into the next; so it is destroyed before them
  ByteQueue output_;
  size_t unsent_answers_ = 0;  // bytes of the output that readers have added
  SslPtr ssl_;
  uint64_t fed_ = 0;
  bool established_ = false;  // the handshake is done
  bool input_ended_ = false;
  bool closed_ = false;
  absl::Status failure_;  // after an error OpenSSL must not be called again
  std::array<SessionPtr, kMaxNewSessions> new_sessions_;
  size_t new_session_count_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_ENGINE_H_
