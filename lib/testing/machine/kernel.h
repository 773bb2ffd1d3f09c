// Layer testing. How does the library call the machine, and not the kernel?
//
// While a Kernel exists, the table of system calls (lib/os/syscalls.h) leads to it on the OS thread that has made it:
// for what is opened and for every path, and for the descriptors that it has given out. All other threads and
// descriptors reach the real kernel. (calls.cc)
//
// A call that would block does not: the carriers and the pool are fibers of one OS thread. Descriptors that may wait
// are in non-blocking mode; another is a CHECK. What takes time in the pool, as a disk does, lets time pass there.
//
// Not the machine's: processes (ENOENT, for want of programs), signals (ENOSYS, where Signals asks for its eventfd),
// and timers of the kernel and the standard streams, which are the real ones.
#ifndef WEFT_LIB_TESTING_MACHINE_KERNEL_H_
#define WEFT_LIB_TESTING_MACHINE_KERNEL_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "lib/os/syscalls.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/descriptors.h"
#include "lib/testing/machine/file_system.h"
#include "lib/testing/machine/network.h"
#include "lib/testing/machine/surroundings.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

// The table that leads to the Kernel of the calling OS thread, or else to the real one. (calls.cc)
const Syscalls& MachineSyscalls() noexcept;

class Kernel {
 public:
  // The calling OS thread's; null: none.
  static Kernel* Here() noexcept;

  Kernel(const Chance::Options& options, int max_descriptors, uint64_t disk_bytes);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // Of a call that takes time. Does nothing outside of the pool.
  void Pause() {
    if (pause) pause(surroundings.chance.Delay());
  }
  // The negative errno with which a call fails, one of `errors`; 0: it does not. None does outside of a simulation.
  int Fault(std::initializer_list<int> errors) noexcept {
    return pause ? -surroundings.chance.Fault({errors.begin(), errors.size()}) : 0;
  }

  Surroundings surroundings;
  FileSystem files;
  Network network;
  // What getaddrinfo(3) knows: at first localhost, by its addresses in the order of RFC 6724.
  std::map<std::string, std::vector<net::SocketAddress>> hosts;
  Descriptors descriptors;  // last: their ends touch the others
  // Set by the simulation: lets virtual time pass, if a function of the pool runs.
  std::function<void(int64_t nanos)> pause;

 private:
  const ScopedSyscalls table_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_KERNEL_H_
