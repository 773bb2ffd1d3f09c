#include "weft/tls/stream.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tls/connection.h"
#include "lib/tls/engine.h"
#include "weft/internal/check.h"
#include "weft/io/buffer.h"
#include "weft/task.h"
#include "weft/tls/context.h"
#include "weft/tls/transport.h"

namespace weft {

namespace internal {

Task<absl::StatusOr<tls::Stream>> TlsClientOver(std::unique_ptr<TlsTransport> transport, tls::ClientOptions options) {
  if (!options.context.has_value()) {
    const absl::StatusOr<tls::Context>& usual = tls::Context::DefaultClient();
    if (!usual.ok()) co_return usual.status();
    options.context = *usual;
  }
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine = TlsEngine::Client(*options.context, std::move(options.host));
  if (!engine.ok()) co_return engine.status();
  co_return co_await TlsConnection::Connect(
      std::make_shared<TlsConnection>(std::move(transport), *std::move(engine)));
}

Task<absl::StatusOr<tls::Stream>> TlsServerOver(std::unique_ptr<TlsTransport> transport, tls::Context context) {
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine = TlsEngine::Server(context);
  if (!engine.ok()) co_return engine.status();
  co_return co_await TlsConnection::Connect(
      std::make_shared<TlsConnection>(std::move(transport), *std::move(engine)));
}

}  // namespace internal

namespace tls {

using internal::TlsConnection;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    if (connection_ != nullptr) connection_->Close();
    connection_ = std::move(other.connection_);
  }
  return *this;
}

Stream::~Stream() {
  if (connection_ != nullptr) connection_->Close();
}

TlsConnection& Stream::connection() const noexcept {
  WEFT_CHECK(connection_ != nullptr) << "a tls::Stream that was moved away";
  return *connection_;
}

Task<absl::StatusOr<size_t>> Stream::Read(MutableBuffer buffer) {
  connection();
  return TlsConnection::Read(connection_, buffer);
}

Task<absl::Status> Stream::Write(ConstBuffer data) {
  connection();
  return TlsConnection::Write(connection_, data, {});
}

Task<absl::Status> Stream::WriteParts(std::span<const ConstBuffer> parts) {
  connection();
  return TlsConnection::Write(connection_, {}, parts);
}

Task<absl::Status> Stream::ShutdownWrite() {
  connection();
  return TlsConnection::ShutdownWrite(connection_);
}

void Stream::Close() noexcept {
  if (connection_ != nullptr) connection_->Close();
}

const std::string& Stream::version() const noexcept { return connection().facts().version; }
const std::string& Stream::cipher() const noexcept { return connection().facts().cipher; }
const std::string& Stream::alpn() const noexcept { return connection().facts().alpn; }
const std::string& Stream::server_name() const noexcept { return connection().facts().server_name; }
bool Stream::resumed() const noexcept { return connection().facts().resumed; }
const std::optional<Certificate>& Stream::peer_certificate() const noexcept {
  return connection().facts().peer_certificate;
}
const void* Stream::TransportAs(const char* type) const noexcept { return connection().transport().As(type); }

}  // namespace tls
}  // namespace weft
