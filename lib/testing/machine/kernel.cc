#include "lib/testing/machine/kernel.h"

#include "weft/internal/check.h"

namespace weft::internal::machine {
namespace {

constinit thread_local Kernel* here = nullptr;

}  // namespace

Kernel* Kernel::Here() noexcept { return here; }

Kernel::Kernel(const Chance::Options& options, int max_descriptors, uint64_t disk_bytes)
    : surroundings(options),
      files(surroundings.chance, surroundings.wire, disk_bytes),
      network(surroundings, files),
      hosts{{"localhost", {*net::SocketAddress::Parse("[::1]:0"), *net::SocketAddress::Parse("127.0.0.1:0")}}},
      descriptors(max_descriptors),
      table_(MachineSyscalls()) {
  WEFT_CHECK(here == nullptr) << "a second machine on this OS thread, while the first one exists";
  here = this;
}

Kernel::~Kernel() {
  here = nullptr;
}

}  // namespace weft::internal::machine
