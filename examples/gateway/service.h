// One of the three services behind the gateway: users, orders or payments. Each has one number about every user.
//
//   GET  /users/7                    the record (under the service's own name); held while the gate is closed
//   GET  /work?ms=700                an answer that takes that long
//   POST /gate?state=closed          from now on records are held
//   POST /gate?state=open            lets them go; with &fail=1 those that are held get 500
//   GET  /await?counter=held&at_least=1     answers when so many records are held at once
//   GET  /await?counter=aborted&at_least=1  ... when clients have given up so many requests for records
//   GET  /stats
//
// A handler whose client hangs up is cancelled. The destructor of a local counts the aborted request.
#ifndef WEFT_EXAMPLES_GATEWAY_SERVICE_H_
#define WEFT_EXAMPLES_GATEWAY_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "examples/gateway/watched_counter.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "weft/weft.h"

namespace gateway {

class Service {
 public:
  Service(std::string name, http::ServerOptions options);

  // Until `stop` is set; then drains.
  weft::Task<absl::Status> Serve(weft::net::TcpListener& listener, weft::Event& stop) {
    return server_.Serve(listener, stop);
  }
  // Any thread.
  void EndDrain() { server_.EndDrain(); }

 private:
  weft::Task<http::Response> Handle(const http::Request& request);
  weft::Task<http::Response> Record(const http::Request& request, int64_t id);
  http::Response SetGate(const http::Request& request);
  http::Response Stats() const;

  const std::string name_;
  const std::string record_prefix_;  // "/users/"
  http::Server server_;
  weft::Event gate_;  // set: open
  std::atomic<bool> fail_held_ = false;
  WatchedCounter held_;
  WatchedCounter aborted_;
};

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_SERVICE_H_
