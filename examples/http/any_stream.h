// A stream of any type, which HTTP runs over: of TCP, of TLS, in memory.
//
//   http::AnyStream plain(std::move(tcp_stream));
//   http::AnyStream secure(std::move(tls_stream));
//
// So neither the server nor the client knows of TLS. Cost: a call allocates a frame, from the frame cache.
#ifndef WEFT_EXAMPLES_HTTP_ANY_STREAM_H_
#define WEFT_EXAMPLES_HTTP_ANY_STREAM_H_

#include <concepts>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace http {

class AnyStream {
 public:
  template <class Stream>
    requires weft::io::Reader<Stream> && weft::io::Writer<Stream> && weft::io::HalfCloser<Stream>
  explicit AnyStream(Stream stream) : stream_(std::make_unique<Of<Stream>>(std::move(stream))) {}

  // Those of the stream.
  weft::Task<absl::StatusOr<size_t>> Read(weft::MutableBuffer buffer) { return stream_->Read(buffer); }
  weft::Task<absl::Status> Write(weft::ConstBuffer data) { return stream_->Write(data); }
  weft::Task<absl::Status> ShutdownWrite() { return stream_->ShutdownWrite(); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual weft::Task<absl::StatusOr<size_t>> Read(weft::MutableBuffer buffer) = 0;
    virtual weft::Task<absl::Status> Write(weft::ConstBuffer data) = 0;
    virtual weft::Task<absl::Status> ShutdownWrite() = 0;
  };

  template <class Stream>
  struct Of final : Base {
    explicit Of(Stream s) : stream(std::move(s)) {}
    weft::Task<absl::StatusOr<size_t>> Read(weft::MutableBuffer buffer) override {
      co_return co_await stream.Read(buffer);
    }
    weft::Task<absl::Status> Write(weft::ConstBuffer data) override { co_return co_await stream.Write(data); }
    weft::Task<absl::Status> ShutdownWrite() override {
      if constexpr (std::same_as<decltype(stream.ShutdownWrite()), absl::Status>) {
        co_return stream.ShutdownWrite();
      } else {
        co_return co_await stream.ShutdownWrite();
      }
    }

    Stream stream;
  };

  std::unique_ptr<Base> stream_;
};

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_ANY_STREAM_H_
