// An nginx of a test's own, of Debian's package: configuration, files and log in a temporary directory, and a port of
// the loopback.
//
//   Nginx nginx;
//   nginx.AddFile("a.txt", "hello");
//   absl::Status started = co_await nginx.Start("keepalive_requests 3;");
//   http::Pool pool(nginx.address());
//   ...
//   absl::StatusOr<weft::Process::Exit> exit = co_await nginx.Stop(SIGQUIT);
//
// The site, for a file that was added as NAME:
//
//   /NAME                 the file
//   /chunked/NAME         the same, in chunks
//   /slow/NAME            at 64 KiB a second, the first 64 KiB at once
//   /slow-chunked/NAME    both
//   /stored/NAME          takes PUT and DELETE
//   /status               nginx's counters of its connections
//
// The port is the test's from the constructor on: a socket that does not listen holds it. Start() makes another socket
// of the same port, which listens. nginx inherits it, as it does when its program is replaced (by the environment
// variable NGINX). So no other program can take the port, and when Start() has returned, connections can be made.
// Before it, and after Stop(), they are refused.
#ifndef WEFT_TESTS_EXAMPLES_NGINX_H_
#define WEFT_TESTS_EXAMPLES_NGINX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/unique_descriptor.h"
#include "weft/process.h"
#include "weft/weft.h"

namespace http {

class Nginx {
 public:
  static constexpr const char* kProgram = "/usr/sbin/nginx";

  Nginx();
  // Kills it, if it runs, and removes its directory.
  ~Nginx();
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;

  weft::net::SocketAddress address() const;

  // At any time; there may be directories in the name.
  void AddFile(const std::string& name, std::string_view contents) const;
  // What was PUT to /stored/NAME. Empty: nothing.
  std::string Stored(const std::string& name) const;

  // `directives`: of nginx's block "http".
  weft::Task<absl::Status> Start(const std::string& directives);
  bool is_running() const { return process_.has_value(); }
  // The next SIGHUP makes it take these directives.
  void Configure(const std::string& directives) const;
  // To all of its processes, of which the workers ignore SIGHUP.
  absl::Status Signal(int signal);
  // Sends SIGQUIT, which lets it finish its requests, or SIGTERM, which does not. Waits for its end.
  weft::Task<absl::StatusOr<weft::Process::Exit>> Stop(int signal);

 private:
  // A socket that is bound to `address`, or to a new port.
  static weft::io::UniqueDescriptor Bind(const weft::net::SocketAddress& address);

  std::string directory_;
  weft::io::UniqueDescriptor port_;
  std::optional<weft::Process> process_;
};

}  // namespace http

#endif  // WEFT_TESTS_EXAMPLES_NGINX_H_
