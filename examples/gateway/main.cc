// Three HTTP services and a gateway in front of them, each a process on loopback, and a client that puts them through
// the work that virtual threads exist for. Ends by itself with a report; exit status 0 if everything held that had to.
//
//   gateway                      the whole of it
//   gateway --json FILE          the report also as JSON
//   gateway --serve --port=8080  no client: listens until SIGTERM or Ctrl-C, then drains; a second one ends the drain
//
// Ten thousand requests in flight over at most 256 upstream connections: each of the 10,000 is a connection of its own
// from the client to the gateway, on which a request has been sent and not answered. The gateway has read all of them,
// forked the three calls of each, and counts them as in flight. The calls compete for 256 connections to each service;
// HTTP/1.1 carries one exchange at a time, so each service holds the replies of 256 of them, and the others wait for a
// connection, parked, in the gateway. Nothing is let go, by any service, until the gateway has counted all 10,000 and
// every service has said that its 256 are there.
#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "examples/gateway/client.h"
#include "examples/gateway/gateway_server.h"
#include "examples/gateway/json.h"
#include "examples/gateway/machine.h"
#include "examples/gateway/process.h"
#include "examples/gateway/report.h"
#include "examples/gateway/service.h"
#include "examples/gateway/threaded_server.h"
#include "examples/gateway/timeline.h"
#include "examples/http/server.h"
#include "nlohmann/json.hpp"
#include "weft/weft.h"

ABSL_FLAG(std::string, json, "", "also write the report to this file, as JSON");
ABSL_FLAG(bool, serve, false,
          "no client: keep listening, for curl and wrk, until SIGTERM or SIGINT; a second one ends the drain");
ABSL_FLAG(uint16_t, port, 0, "the gateway's port on 127.0.0.1; 0: the kernel chooses");
ABSL_FLAG(int64_t, requests, 10'000, "requests in flight at once; fewer if descriptors are short");
ABSL_FLAG(bool, baseline, true, "measure one OS thread a connection as well");

// Of the processes that this program starts.
ABSL_FLAG(std::string, role, "", "users, orders, payments, gateway, client or threads; empty: all of it");
ABSL_FLAG(std::string, upstreams, "",
          "addresses of users, orders and payments, with commas (roles gateway, client, threads)");
ABSL_FLAG(std::string, target, "", "address of the gateway (role client)");
ABSL_FLAG(std::string, measure, "all", "all, or in_flight alone (role client)");
ABSL_FLAG(bool, ends_with_stdin, false, "the end of the standard input is a SIGTERM");

namespace gateway {
namespace {

using nlohmann::json;

// Descriptors of a process besides the connections from outside: upstream connections, rings, pipes, and room for curl.
constexpr int64_t kReservedDescriptors = kServices * kMaxUpstreamConnections + 128;
// Of these, connections to a server beside the requests: the client's, for asking how things stand.
constexpr int64_t kControlConnections = 16;
// OS threads that have to be left over when one is started for each connection.
constexpr int64_t kReservedThreads = 64;

constexpr absl::Duration kIdleTimeout = absl::Minutes(2);

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "gateway: %s\n", std::string(status.message()).c_str());
  return 1;
}

absl::StatusOr<std::array<weft::net::SocketAddress, kServices>> Upstreams() {
  const std::vector<std::string> texts = absl::StrSplit(absl::GetFlag(FLAGS_upstreams), ',');
  if (texts.size() != kServices)
    return absl::InvalidArgumentError("--upstreams takes three addresses: users,orders,payments");
  std::vector<weft::net::SocketAddress> addresses;
  for (const std::string& text : texts) {
    absl::StatusOr<weft::net::SocketAddress> address = weft::net::SocketAddress::Parse(text);
    if (!address.ok()) return address.status();
    addresses.push_back(*address);
  }
  return std::array<weft::net::SocketAddress, kServices>{addresses[0], addresses[1], addresses[2]};
}

// ---- The roles.

absl::StatusOr<weft::net::TcpListener> Listen(uint16_t port) {
  const std::string address = absl::StrCat("127.0.0.1:", port);
  absl::StatusOr<weft::net::TcpListener> listener = weft::net::TcpListener::Bind(address);
  if (weft::ErrnoOf(listener.status()) == EADDRINUSE) {
    return absl::FailedPreconditionError(absl::StrCat(
        address, " is in use by another program; choose another port with --port, or 0 for any that is free"));
  }
  return listener;
}

http::ServerOptions ServerOptions() {
  return {.max_connections = std::max<int64_t>(RaiseDescriptorLimit() - kReservedDescriptors, 0) + kControlConnections,
          .idle_timeout = kIdleTimeout};
}

// Listens, reports the port, and serves until SIGTERM or SIGINT, then drains; a second one ends the drain.
template <class Server>
weft::Task<absl::Status> ListenAndServe(Server& server, uint16_t port) {
  weft::Signals& signals = TerminationSignals();
  absl::StatusOr<weft::net::TcpListener> listener = Listen(port);
  if (!listener.ok()) co_return listener.status();
  absl::StatusOr<weft::net::SocketAddress> address = listener->local_address();
  if (!address.ok()) co_return address.status();
  WriteReport({{"port", address->port()}});
  weft::Event drain;
  weft::ShutdownOnFailure scope("serving");
  scope.Fork(server.Serve(*listener, drain));
  scope.ForkDaemon([&]() -> weft::Task<void> {
    co_await signals.Next();
    drain.Set();
    co_await signals.Next();
    server.EndDrain();
  });
  co_return co_await scope.Join();
}

int RunService(const std::string& name) {
  absl::StatusOr<std::unique_ptr<weft::Runtime>> runtime = weft::Runtime::Create();
  if (!runtime.ok()) return Fail(runtime.status());
  Service service(name, ServerOptions());
  absl::Status served = (*runtime)->Run(ListenAndServe(service, absl::GetFlag(FLAGS_port)));
  return served.ok() ? 0 : Fail(served);
}

int RunGateway() {
  absl::StatusOr<std::array<weft::net::SocketAddress, kServices>> upstreams = Upstreams();
  if (!upstreams.ok()) return Fail(upstreams.status());
  Timeline timeline;
  absl::StatusOr<std::unique_ptr<weft::Runtime>> runtime = weft::Runtime::Create({.observer = &timeline});
  // One carrier computes for a while, and threads are to move to another: two, also on one CPU.
  if (runtime.ok() && (*runtime)->parallelism() < 2 && std::getenv("WEFT_PARALLELISM") == nullptr) {
    runtime->reset();
    runtime = weft::Runtime::Create({.parallelism = 2, .observer = &timeline});
  }
  if (!runtime.ok()) return Fail(runtime.status());
  GatewayServer server(**runtime, timeline, *upstreams, ServerOptions());
  absl::Status served = (*runtime)->Run(ListenAndServe(server, absl::GetFlag(FLAGS_port)));
  return served.ok() ? 0 : Fail(served);
}

int RunThreads() {
  absl::StatusOr<std::array<weft::net::SocketAddress, kServices>> upstreams = Upstreams();
  if (!upstreams.ok()) return Fail(upstreams.status());
  RaiseDescriptorLimit();
  const int64_t threads = TryOsThreads(absl::GetFlag(FLAGS_requests) + kReservedThreads) - kReservedThreads;
  absl::Status served = ServeThreaded(*upstreams, [&](uint16_t port) {
    WriteReport({{"port", port}, {"os_threads", std::max<int64_t>(threads, 0)}});
  });
  return served.ok() ? 0 : Fail(served);
}

weft::Task<absl::StatusOr<json>> Measure(Targets targets, bool all, int64_t requests) {
  json report;
  if (all) {
    // The system may take the processor away for as long as the answer may take longer, or from the carrier that was to
    // take a thread over. Then it is measured again, for a minute.
    constexpr absl::Duration kPatience = absl::Minutes(1);
    const weft::MonotonicTime begin = weft::MonotonicNow();
    absl::StatusOr<json> parallel = co_await MeasureParallelCalls(targets);
    while (parallel.ok() && !(TookHardlyLonger(*parallel) && HasMoved(*parallel)) &&
           weft::MonotonicNow() - begin < kPatience) {
      parallel = co_await MeasureParallelCalls(targets);
    }
    if (!parallel.ok()) co_return parallel.status();
    report["parallel_calls"] = *std::move(parallel);
    absl::StatusOr<json> fan_out = co_await MeasureFanOut(targets);
    if (!fan_out.ok()) co_return fan_out.status();
    report["fan_out"] = *std::move(fan_out);
  }
  absl::StatusOr<json> in_flight = co_await MeasureInFlight(targets, requests);
  if (!in_flight.ok()) co_return in_flight.status();
  report["in_flight"] = *std::move(in_flight);
  co_return report;
}

int RunClient() {
  RaiseDescriptorLimit();
  absl::StatusOr<std::array<weft::net::SocketAddress, kServices>> upstreams = Upstreams();
  if (!upstreams.ok()) return Fail(upstreams.status());
  absl::StatusOr<weft::net::SocketAddress> target = weft::net::SocketAddress::Parse(absl::GetFlag(FLAGS_target));
  if (!target.ok()) return Fail(target.status());
  absl::StatusOr<std::unique_ptr<weft::Runtime>> runtime = weft::Runtime::Create();
  if (!runtime.ok()) return Fail(runtime.status());
  absl::StatusOr<json> report = (*runtime)->Run(
      Measure({*target, *upstreams}, absl::GetFlag(FLAGS_measure) == "all", absl::GetFlag(FLAGS_requests)));
  if (!report.ok()) return Fail(report.status());
  (*report)["io_backend"] = std::string((*runtime)->io_backend());
  WriteReport(*report);
  return 0;
}

// ---- All of it: this process starts the others, and waits for them.

// A server that has said where it listens.
struct Listening {
  Process process;
  std::string address;
  json report;
  bool lost = false;  // it has ended by itself
};

weft::Task<absl::StatusOr<Listening>> StartServer(std::string role, std::vector<std::string> arguments) {
  arguments.push_back(absl::StrCat("--role=", role));
  absl::StatusOr<Process> process = co_await Process::Start(std::move(role), std::move(arguments));
  if (!process.ok()) co_return process.status();
  absl::StatusOr<json> report = co_await process->ReadReport();
  if (!report.ok()) co_return report.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*report)["port"].get<int>());
  co_return Listening{*std::move(process), address, *std::move(report)};
}

struct Running {
  std::vector<Listening> services;  // as in kServiceNames
  std::vector<Listening> gateway;   // one
  std::string upstreams;            // the flag
};

weft::Task<absl::StatusOr<Running>> StartAll() {
  Running running;
  std::vector<std::string> addresses;
  for (const char* name : kServiceNames) {
    absl::StatusOr<Listening> service = co_await StartServer(name, {});
    if (!service.ok()) co_return service.status();
    addresses.push_back(service->address);
    running.services.push_back(*std::move(service));
  }
  running.upstreams = absl::StrCat("--upstreams=", absl::StrJoin(addresses, ","));
  absl::StatusOr<Listening> gateway =
      co_await StartServer("gateway", {running.upstreams, absl::StrCat("--port=", absl::GetFlag(FLAGS_port))});
  if (!gateway.ok()) co_return gateway.status();
  running.gateway.push_back(*std::move(gateway));
  co_return running;
}

// Sends SIGTERM and waits: what the process makes of it.
weft::Task<absl::Status> Drain(Process& process) {
  process.Terminate();
  co_return co_await process.AwaitEnd();
}

weft::Task<absl::StatusOr<json>> RunClientProcess(std::vector<std::string> arguments) {
  arguments.push_back("--role=client");
  absl::StatusOr<Process> client = co_await Process::Start("client", std::move(arguments));
  if (!client.ok()) co_return client.status();
  absl::StatusOr<json> report = co_await client->ReadReport();
  if (!report.ok()) co_return report;
  if (absl::Status ended = co_await client->AwaitEnd(); !ended.ok()) co_return ended;
  co_return report;
}

// The same with one OS thread a connection; {"skipped": why} where that cannot be.
weft::Task<json> MeasureThreads(const Running& running, int64_t requests) {
  absl::StatusOr<Listening> threads =
      co_await StartServer("threads", {running.upstreams, absl::StrCat("--requests=", requests)});
  if (!threads.ok()) co_return json{{"skipped", threads.status().ToString()}};
  const int64_t possible = threads->report["os_threads"];
  const int64_t reduced = std::min(requests, possible);
  if (reduced < 1) co_return json{{"skipped", "this machine lets a process have no more OS threads"}};
  absl::StatusOr<json> report =
      co_await RunClientProcess({running.upstreams, absl::StrCat("--target=", threads->address), "--measure=in_flight",
                                 absl::StrCat("--requests=", reduced)});
  if (!report.ok()) co_return json{{"skipped", absl::StrCat("it failed: ", report.status().message())}};
  if (absl::Status ended = co_await Drain(threads->process); !ended.ok())
    co_return json{{"skipped", absl::StrCat("it failed: ", ended.message())}};
  json result = (*report)["in_flight"];
  if (reduced < requests) {
    result["reduced"] = absl::StrCat("this machine lets a process have ", possible, " OS threads more: ", reduced,
                                     " requests instead of ", requests);
  }
  co_return result;
}

int WriteJson(const json& report) {
  std::string path = absl::GetFlag(FLAGS_json);
  if (path.empty()) return 0;
  // `bazel run` changes the directory, and says where it was called.
  const char* called_in = std::getenv("BUILD_WORKING_DIRECTORY");
  if (called_in != nullptr && path.front() != '/') path = absl::StrCat(called_in, "/", path);
  std::ofstream file(path);
  file << DumpJson(report, 2) << "\n";
  file.close();
  if (file) return 0;
  return Fail(absl::UnavailableError(absl::StrCat("cannot write ", path)));
}

weft::Task<absl::StatusOr<json>> RunMainJob(int64_t limit, int64_t requests) {
  absl::StatusOr<Running> running = co_await StartAll();
  if (!running.ok()) co_return running.status();
  absl::StatusOr<json> measured =
      co_await RunClientProcess({running->upstreams, absl::StrCat("--target=", running->gateway[0].address),
                                 absl::StrCat("--requests=", requests)});
  if (!measured.ok()) co_return measured.status();
  json report = *std::move(measured);
  report["cpus"] = std::thread::hardware_concurrency();
  report["descriptor_limit"] = limit;
  const int64_t wanted = absl::GetFlag(FLAGS_requests);
  if (requests < wanted) {
    report["reduced"] = absl::StrCat("the limit of ", limit, " open descriptors a process (ulimit -n) allows ",
                                     requests, " requests instead of ", wanted);
  }
  // The gateway ends first: while it drains it needs the services. They then serve the baseline.
  report["drained"]["gateway"] = (co_await Drain(running->gateway[0].process)).ToString();
  report["thread_per_connection"] = json{{"skipped", "not asked for"}};
  if (absl::GetFlag(FLAGS_baseline)) report["thread_per_connection"] = co_await MeasureThreads(*running, requests);
  for (Listening& service : running->services)
    report["drained"][service.process.name()] = (co_await Drain(service.process)).ToString();
  co_return report;
}

int RunMainJob() {
  const int64_t limit = RaiseDescriptorLimit();
  const int64_t requests = std::min(absl::GetFlag(FLAGS_requests), limit - kReservedDescriptors);
  if (requests < 1) {
    return Fail(absl::ResourceExhaustedError(absl::StrCat("the limit of ", limit,
                                                          " open descriptors (ulimit -n) leaves none for requests; ",
                                                          kReservedDescriptors + 1, " are the least")));
  }
  absl::StatusOr<json> report = weft::Run(RunMainJob(limit, requests));
  if (!report.ok()) return Fail(report.status());
  Judge(*report);
  std::fputs(ToText(*report).c_str(), stdout);
  if (const int status = WriteJson(*report); status != 0) return status;
  return (*report)["ok"].get<bool>() ? 0 : 1;
}

// ---- --serve.

void PrintAddresses(const Running& running) {
  for (const Listening& service : running.services) {
    std::printf("%-8s http://%s pid %d\n", service.process.name().c_str(), service.address.c_str(),
                service.process.id());
  }
  const std::string& address = running.gateway[0].address;
  std::printf("gateway  http://%s pid %d\ntry: curl http://%s/user/7; SIGTERM or Ctrl-C drains, twice ends\n",
              address.c_str(), running.gateway[0].process.id(), address.c_str());
  std::fflush(stdout);
}

// Until a signal comes, or the gateway ends by itself.
weft::Task<absl::Status> WatchUntilSignal(Running& running, weft::Signals& signals) {
  weft::ShutdownOnFailure scope("serving");
  scope.Fork([&]() -> weft::Task<void> {
    co_await signals.Next();
    scope.Shutdown("a signal");
  });
  scope.Fork([&]() -> weft::Task<absl::Status> {
    absl::Status how = co_await running.gateway[0].process.AwaitEnd();
    co_return how.ok() ? absl::InternalError("the gateway ended by itself") : how;
  });
  for (Listening& service : running.services) {
    scope.Fork([&]() -> weft::Task<void> {
      const absl::Status how = co_await service.process.AwaitEnd();
      service.lost = true;
      std::fprintf(stderr, "gateway: %s; calls to it are answered 502 from now on\n", how.ToString().c_str());
    });
  }
  co_return co_await scope.Join();
}

// Drain(), and no longer than until `hurry`.
weft::Task<absl::Status> DrainUntil(weft::Event& hurry, Process& process) {
  process.Terminate();
  weft::ShutdownOnFailure scope("draining");
  scope.Fork(process.AwaitEnd());
  scope.ForkDaemon([&]() -> weft::Task<void> {
    co_await hurry.Wait();
    process.EndDrain();
  });
  co_return co_await scope.Join();
}

weft::Task<absl::Status> Serve() {
  weft::Signals& signals = TerminationSignals();
  absl::StatusOr<Running> running = co_await StartAll();
  if (!running.ok()) co_return running.status();
  PrintAddresses(*running);
  if (absl::Status ended = co_await WatchUntilSignal(*running, signals); !ended.ok()) co_return ended;
  weft::Event hurry;
  weft::ShutdownOnFailure scope("the end");
  scope.ForkDaemon([&]() -> weft::Task<void> {
    co_await signals.Next();
    hurry.Set();
  });
  scope.Fork([&]() -> weft::Task<absl::Status> {
    absl::Status drained = co_await DrainUntil(hurry, running->gateway[0].process);
    for (Listening& service : running->services) {
      if (!service.lost) drained.Update(co_await DrainUntil(hurry, service.process));
    }
    co_return drained;
  });
  co_return co_await scope.Join();
}

int RunServe() {
  const absl::Status served = weft::Run(Serve());
  return served.ok() ? 0 : Fail(served);
}

int Main() {
  if (absl::GetFlag(FLAGS_ends_with_stdin)) EndWithStandardInput();
  const std::string role = absl::GetFlag(FLAGS_role);
  if (role == "gateway") return RunGateway();
  if (role == "client") return RunClient();
  if (role == "threads") return RunThreads();
  if (std::find(kServiceNames.begin(), kServiceNames.end(), role) != kServiceNames.end()) return RunService(role);
  if (!role.empty()) return Fail(absl::InvalidArgumentError(absl::StrCat("--role=", role, " is none that there is")));
  return absl::GetFlag(FLAGS_serve) ? RunServe() : RunMainJob();
}

}  // namespace
}  // namespace gateway

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("three services, a gateway and a client, on virtual threads; see --json and --serve");
  absl::ParseCommandLine(argc, argv);
  return gateway::Main();
}
