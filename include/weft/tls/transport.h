// Transport: what TLS can run over. TcpStream is one, io::MemoryStream, the ends of a tunnel, and tls::Stream itself.
//
//   Read(MutableBuffer)   awaited: absl::StatusOr<size_t>; 0: the end
//   Write(ConstBuffer)    awaited: absl::Status; writes all
//   ShutdownWrite()       optional: absl::Status, at once or awaited; ends the writing direction
//   Close()               optional: ends the operations that wait, at once and from any thread
//
// It must be movable. At most one Read() and one Write() are under way at a time; one may be, on another carrier than
// the other. A Read() that is cancelled must have taken nothing.
#ifndef WEFT_TLS_TRANSPORT_H_
#define WEFT_TLS_TRANSPORT_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/into_task.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft {

namespace tls {

template <class T>
concept Transport = std::movable<T> && requires(T& transport, MutableBuffer into, ConstBuffer from) {
  { transport.Read(into) } -> internal::IntoTask;
  { transport.Write(from) } -> internal::IntoTask;
};

}  // namespace tls

namespace internal {

// A transport of whatever type.
class TlsTransport {
 public:
  virtual ~TlsTransport() = default;
  virtual Task<absl::StatusOr<size_t>> Read(MutableBuffer into) = 0;
  virtual Task<absl::Status> Write(ConstBuffer from) = 0;
  virtual Task<absl::Status> ShutdownWrite() = 0;
  virtual void Close() noexcept = 0;
  // The transport itself if `type` is its kType, else null.
  virtual const void* As(const char* type) const noexcept = 0;
};

template <tls::Transport T>
class TlsTransportOf final : public TlsTransport {
 public:
  // Its address stands for T. (Without RTTI. A linker might put constants that are equal at one address.)
  static inline char kType = 0;

  explicit TlsTransportOf(T transport) : transport_(std::move(transport)) {}

  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) override { co_return co_await transport_.Read(into); }
  Task<absl::Status> Write(ConstBuffer from) override { co_return co_await transport_.Write(from); }
  Task<absl::Status> ShutdownWrite() override {
    if constexpr (!requires { transport_.ShutdownWrite(); }) {
      co_return absl::OkStatus();
    } else if constexpr (requires { absl::Status(transport_.ShutdownWrite()); }) {
      co_return transport_.ShutdownWrite();
    } else {
      co_return co_await transport_.ShutdownWrite();
    }
  }
  void Close() noexcept override {
    if constexpr (requires { transport_.Close(); }) transport_.Close();
  }
  const void* As(const char* type) const noexcept override { return type == &kType ? &transport_ : nullptr; }

 private:
  T transport_;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_TLS_TRANSPORT_H_
