// Machine: a computer for simulations, with a network and a disk in memory. A whole service runs on it under a seed:
// its connections, datagrams, pipes and files.
//
//   weft::testing::Machine machine({.seed = 7, .faults = 0.01});
//   weft::testing::Simulation simulation({.carriers = 2, .seed = 7, .machine = &machine});
//   simulation.Run(ServiceAndClients());        // no socket and no file of the real machine is touched
//
// The service is the one that is shipped: the library makes the same calls as ever, and the machine answers them as
// Linux does. (Readiness comes by epoll.) What the real network and disk decide, the seed decides:
//
//   how long      each piece of a TCP stream, each datagram and each call on a file takes MachineOptions::min_delay to
//                 max_delay of virtual time
//   how much      a read or write moves fewer bytes than it could; those of TCP arrive in pieces: short_transfers
//   whether       a call fails with one of its documented errors, a connection is reset, a name is not resolved: faults
//   what order    descriptors become ready in; UDP datagrams arrive in
//
// The same seeds give the same run, so a failure found under one is repeated at will. (The exception is TLS: OpenSSL's
// random numbers come from no seed, and the lengths of signatures, pieces and delays differ with them.) A wait for
// something that nobody will send is reported as a deadlock, at once.
//
// Network. Every IP address is the machine's, without being set up: servers and clients may use 10.0.0.1 and 10.0.0.2
// to be told apart. Where a client does not say otherwise, its own address is the one that it connects to, as in Linux.
// Disconnect() and Part() cut hosts off. TCP then sends again, and gives up after about two minutes if it was
// connecting, and after 15 if it was connected; virtual minutes, which take no time. A connection that only reads never
// notices, unless it is kept alive (net/tcp_options.h). AddHost() says what names mean; localhost is ::1 and 127.0.0.1.
//
// Disk. It begins with the directory /tmp. Programs run as root. It lasts as long as the machine, over any number of
// simulations, one after the other: so a service can be started anew on what it has left. LosePower() in between takes
// away what was not synced, and what a Sync() has lost that failed with EIO (a fault): fs/file.h says what to do then.
//
// What is not here: processes (none can be spawned: ENOENT), signals (Signals::Open() returns ENOSYS), and the standard
// streams, which are the real ones.
//
// A machine belongs to the OS thread that made it: there, whatever the library opens while the machine exists is the
// machine's; so have no other runtime on it. The destructor CHECKs that nothing was left open, and names what was.
#ifndef WEFT_TESTING_MACHINE_H_
#define WEFT_TESTING_MACHINE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "weft/text_view.h"
#include "weft/time_span.h"

namespace weft::internal::machine {
class Kernel;
}  // namespace weft::internal::machine

namespace weft::testing {

struct MachineOptions {
  uint64_t seed = 1;
  // 0 or more, of virtual time; drawn anew each time.
  TimeSpan min_delay = absl::Microseconds(20);
  TimeSpan max_delay = absl::Milliseconds(1);
  // Shares of all cases, 0 to 1.
  double short_transfers = 0.1;
  double faults = 0;  // below 1: some calls are made again until no signal interrupts them
  double lost_datagrams = 0;
  int max_descriptors = 20'000;            // more are EMFILE
  uint64_t disk_bytes = uint64_t{1} << 30;  // more are ENOSPC
};

class Machine {
 public:
  explicit Machine(MachineOptions options = {});
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  // ---- On the machine's OS thread, also by what runs in a simulation. Addresses are without a port, "10.0.0.1" or
  // "::1"; another text is a CHECK.

  // Has the name mean that address, and those that it means already.
  void AddHost(TextView name, TextView address);
  // From here on nothing gets to the address or away from it.
  void Disconnect(TextView address);
  // From here on nothing gets from one to the other.
  void Part(TextView one, TextView other);
  // Everything gets everywhere again. What TCP sends again comes when it does so.
  void Heal();

  // What no fsync(2) of the file, and of its directory, has brought to the disk is gone. An fsync(2) that fails with
  // EIO may lose what it had to bring: a later one does not bring that, unless it is written again. CHECKs that nothing
  // is open.
  void LosePower();

  int open_descriptors() const;
  // A line for each of them: "1048581: a TCP listener on 10.0.0.1:80".
  std::string DescribeOpen() const;

 private:
  friend class Simulation;
  std::unique_ptr<internal::machine::Kernel> kernel_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTING_MACHINE_H_
