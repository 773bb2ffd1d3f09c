#include "examples/redis/server.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/redis/commands.h"
#include "weft/deadline.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"

namespace redis {
namespace {

using weft::net::TcpStream;
using In = weft::io::BufferedReader<TcpStream&>;
using Out = weft::io::BufferedWriter<TcpStream&>;

// A client that is disconnected may still be sending. To close at once would reset the connection, and the last reply
// with it. So what it sends is read for a while.
constexpr absl::Duration kLingerTimeout = absl::Seconds(2);
constexpr uint64_t kLingerBytes = 16 << 20;

// What became of the commands that had arrived.
struct Answered {
  size_t bytes = 0;   // of those that are done
  size_t needed = 0;  // bytes that must be there before the next one can be whole
  bool ends = false;  // there will be no next one
};

weft::Task<absl::StatusOr<Answered>> Answer(std::string_view bytes, Store& store, const Limits& limits, Out& out) {
  Answered answered;
  Arguments arguments;
  Reply reply;
  while (!answered.ends) {
    const absl::StatusOr<Parsed> command = ParseCommand(bytes.substr(answered.bytes), limits, arguments);
    if (command.ok() && !command->whole) {
      answered.needed = command->bytes;
      break;
    }
    reply.Clear();
    if (command.ok()) {
      answered.ends = !Execute(store, arguments, reply);
      answered.bytes += command->bytes;
    } else {
      answered.ends = true;
      reply.Error(std::string(command.status().message()));
    }
    if (absl::Status s = co_await out.Write(reply.bytes()); !s.ok()) co_return s;
  }
  if (absl::Status s = co_await out.Flush(); !s.ok()) co_return s;
  co_return answered;
}

weft::Task<absl::Status> Linger(TcpStream& stream, In& in) {
  if (absl::Status s = stream.ShutdownWrite(); !s.ok()) co_return s;
  co_return co_await weft::WithTimeout(kLingerTimeout, in.Skip(kLingerBytes));
}

weft::Task<absl::Status> ServeConnection(TcpStream stream, Store& store, const ServerOptions& options) {
  In in(stream);
  Out out(stream);
  weft::Deadline next_command = weft::MonotonicNow() + options.idle_timeout;
  for (size_t needed = 1;;) {
    const absl::StatusOr<std::string_view> enough = co_await weft::WithDeadline(next_command, in.Peek(needed));
    if (!enough.ok()) co_return enough.status();
    if (enough->size() < needed) co_return absl::OkStatus();  // the client has finished
    const absl::StatusOr<std::string_view> all = co_await in.Peek(in.buffered());  // does not wait
    if (!all.ok()) co_return all.status();
    // Shielded: what is executed is answered.
    const absl::StatusOr<Answered> answered = co_await weft::Shield(
        weft::WithTimeout(options.write_timeout, Answer(*all, store, options.limits, out)));
    if (!answered.ok()) co_return answered.status();
    in.Consume(answered->bytes);
    if (answered->ends) co_return co_await Linger(stream, in);
    needed = answered->needed;
    if (answered->bytes > 0) next_command = weft::MonotonicNow() + options.idle_timeout;
  }
}

}  // namespace

weft::Task<absl::Status> Serve(weft::net::TcpListener& listener, Store& store, ServerOptions options) {
  weft::Semaphore permits(options.max_connections);
  weft::AwaitAll connections("connections");
  absl::Status stopped;
  while (stopped.ok()) {
    auto permit = co_await permits.Acquire();
    absl::StatusOr<TcpStream> stream = co_await listener.Accept();
    stopped = stream.status();
    if (!stopped.ok()) break;
    connections.Fork(
        [&store, &options, p = std::move(permit), s = *std::move(stream)]() mutable -> weft::Task<void> {
          // An error is the end of this connection, and of nothing else.
          (co_await ServeConnection(std::move(s), store, options)).IgnoreError();
        });
  }
  connections.Shutdown();
  (co_await connections.Join()).IgnoreFailures();
  co_return stopped;
}

}  // namespace redis
