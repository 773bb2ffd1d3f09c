// An echo server in Asio: one io_context on one thread, by callbacks, which is the fastest that Asio has. (Its
// coroutines allocate a frame for each operation.)
#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <utility>

#include "boost/asio.hpp"

namespace weft::benchmarks::peers {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr size_t kBufferBytes = 1024;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)) { socket_.set_option(tcp::no_delay(true)); }

  void Read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const boost::system::error_code& error, size_t got) {
                              if (!error) self->Write(got);
                            });
  }

 private:
  void Write(size_t size) {
    asio::async_write(socket_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this()](const boost::system::error_code& error, size_t) {
                        if (!error) self->Read();
                      });
  }

  tcp::socket socket_;
  std::array<char, kBufferBytes> buffer_;
};

void Accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](const boost::system::error_code& error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket))->Read();
    Accept(acceptor);
  });
}

int Main() {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("listening on 127.0.0.1:%d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  Accept(acceptor);
  context.run();
  return 0;
}

}  // namespace
}  // namespace weft::benchmarks::peers

int main() { return weft::benchmarks::peers::Main(); }
