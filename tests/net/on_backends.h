// One coroutine body with sockets, run on both backends: in simulations of one and three carriers, and on runtimes of
// one and two; and on a simulated machine (weft/testing/machine.h). Each run asserts which backend it is on.
//
// A body that calls the kernel by itself does so through Sys() (lib/os/syscalls.h), or its suite is for the real
// kernel: WEFT_ON_REAL_BACKENDS.
#ifndef WEFT_TESTS_NET_ON_BACKENDS_H_
#define WEFT_TESTS_NET_ON_BACKENDS_H_

#include <cstdint>
#include <memory>
#include <ostream>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "weft/runtime.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"

namespace weft::testing {

struct NetPlace {
  enum class Kind { kReal, kSimulated, kMachine };

  IoBackend io;
  Kind kind;
  int carriers;

  // Is time virtual?
  bool simulated() const { return kind != Kind::kReal; }

  friend std::ostream& operator<<(std::ostream& out, const NetPlace& place) {
    constexpr const char* kKinds[] = {"Real", "Simulated", "Machine"};
    return out << (place.io == IoBackend::kUring ? "IoUring" : "Epoll") << kKinds[static_cast<int>(place.kind)]
               << place.carriers;
  }
};

class OnBackends : public ::testing::TestWithParam<NetPlace> {
 protected:
  static constexpr uint64_t kSeeds = 5;

  template <class Body>
  static void Everywhere(Body body) {
    const auto [io, kind, carriers] = GetParam();
    if (kind == NetPlace::Kind::kReal) {
      // Without spare carriers, which have descriptors of their own.
      const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
          Runtime::Create({.parallelism = carriers, .held_carrier_threshold = absl::ZeroDuration(), .io = io});
      ASSERT_TRUE(runtime.ok()) << runtime.status();
      RunOn(**runtime, body);
      return;
    }
    for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
      SCOPED_TRACE(seed);
      if (kind == NetPlace::Kind::kMachine) {
        // What the tests say holds while nothing is short and datagrams keep their order. machine_test is for the rest.
        constexpr absl::Duration kDelay = absl::Microseconds(50);
        Machine machine({.seed = seed, .min_delay = kDelay, .max_delay = kDelay, .short_transfers = 0});
        Simulation simulation({.carriers = carriers, .seed = seed, .machine = &machine});
        RunOn(simulation.runtime(), body);
        continue;
      }
      Simulation simulation({.carriers = carriers, .seed = seed, .io = io});
      RunOn(simulation.runtime(), body);
    }
  }

 private:
  template <class Body>
  static void RunOn(Runtime& runtime, Body& body) {
    ASSERT_EQ(runtime.io_backend(), GetParam().io == IoBackend::kUring ? "io_uring" : "epoll");
    runtime.Run(body());
  }
};

inline auto RealPlaces() {
  std::vector<NetPlace> places;
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (const int carriers : {1, 3}) places.push_back({io, NetPlace::Kind::kSimulated, carriers});
    for (const int carriers : {1, 2}) places.push_back({io, NetPlace::Kind::kReal, carriers});
  }
  return places;
}

inline auto AllPlaces() {
  std::vector<NetPlace> places = RealPlaces();
  for (const int carriers : {1, 3}) places.push_back({IoBackend::kEpoll, NetPlace::Kind::kMachine, carriers});
  return places;
}

#define WEFT_ON_BACKENDS(Suite)                                                                            \
  INSTANTIATE_TEST_SUITE_P(Everywhere, Suite, ::testing::ValuesIn(::weft::testing::AllPlaces()),           \
                           ::testing::PrintToStringParamName())
#define WEFT_ON_REAL_BACKENDS(Suite)                                                                       \
  INSTANTIATE_TEST_SUITE_P(Everywhere, Suite, ::testing::ValuesIn(::weft::testing::RealPlaces()),          \
                           ::testing::PrintToStringParamName())

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_ON_BACKENDS_H_
