#include "weft/testing/machine.h"

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/kernel.h"
#include "lib/testing/machine/routes.h"
#include "weft/internal/check.h"
#include "weft/net/socket_address.h"

namespace weft::testing {
namespace {

bool IsShare(double share) noexcept { return share >= 0 && share <= 1; }

internal::machine::Chance::Options ChanceOptions(const MachineOptions& options) {
  const int64_t min_ns = absl::ToInt64Nanoseconds(options.min_delay);
  const int64_t max_ns = absl::ToInt64Nanoseconds(options.max_delay);
  WEFT_CHECK(min_ns >= 0 && min_ns <= max_ns && max_ns < INT64_MAX) << "the delays of a machine are 0 or more, and its "
                                                                       "min_delay is not above its max_delay";
  WEFT_CHECK(IsShare(options.short_transfers) && IsShare(options.faults) && IsShare(options.lost_datagrams))
      << "the shares of a machine are 0 to 1";
  WEFT_CHECK(options.faults < 1) << "the faults of a machine are below 1; a call that is interrupted each time never "
                                    "ends";
  return {.seed = options.seed,
          .min_delay_ns = min_ns,
          .max_delay_ns = max_ns,
          .short_transfers = options.short_transfers,
          .faults = options.faults,
          .lost_datagrams = options.lost_datagrams};
}

net::SocketAddress AddressOf(TextView text) {
  const absl::string_view address(text.data(), text.size());
  const bool v6 = address.find(':') != absl::string_view::npos;
  const absl::StatusOr<net::SocketAddress> parsed =
      net::SocketAddress::Parse(v6 ? absl::StrCat("[", address, "]:0") : absl::StrCat(address, ":0"));
  WEFT_CHECK(parsed.ok() && !address.empty()) << "\"" << std::string(address) << "\" is not an address without a port";
  return *parsed;
}

std::string HostOf(TextView text) { return internal::machine::HostOf(AddressOf(text)); }

}  // namespace

Machine::Machine(MachineOptions options)
    : kernel_(std::make_unique<internal::machine::Kernel>(ChanceOptions(options), options.max_descriptors,
                                                          options.disk_bytes)) {}

Machine::~Machine() {
  WEFT_CHECK(open_descriptors() == 0) << "left open on a machine that is destroyed:\n" << DescribeOpen();
}

void Machine::AddHost(TextView name, TextView address) {
  kernel_->hosts[std::string(name.data(), name.size())].push_back(AddressOf(address));
}

void Machine::Disconnect(TextView address) { kernel_->surroundings.routes.Disconnect(HostOf(address)); }

void Machine::Part(TextView one, TextView other) { kernel_->surroundings.routes.Part(HostOf(one), HostOf(other)); }

void Machine::Heal() { kernel_->surroundings.routes.Heal(); }

void Machine::LosePower() {
  WEFT_CHECK(open_descriptors() == 0) << "LosePower() while something is open:\n" << DescribeOpen();
  kernel_->files.LosePower();
}

int Machine::open_descriptors() const { return static_cast<int>(kernel_->descriptors.count()); }

std::string Machine::DescribeOpen() const { return kernel_->descriptors.Describe(); }

}  // namespace weft::testing
