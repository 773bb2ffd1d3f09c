// One coroutine body with sockets, run on both backends: in simulations of one and three carriers, and on runtimes of
// one and two. Each run asserts which backend it is on.
#ifndef WEFT_TESTS_NET_ON_BACKENDS_H_
#define WEFT_TESTS_NET_ON_BACKENDS_H_

#include <cstdint>
#include <memory>
#include <ostream>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "weft/runtime.h"
#include "weft/testing/simulation.h"

namespace weft::testing {

struct NetPlace {
  IoBackend io;
  bool simulated;
  int carriers;

  friend std::ostream& operator<<(std::ostream& out, const NetPlace& place) {
    return out << (place.io == IoBackend::kUring ? "IoUring" : "Epoll") << (place.simulated ? "Simulated" : "Real")
               << place.carriers;
  }
};

class OnBackends : public ::testing::TestWithParam<NetPlace> {
 protected:
  static constexpr uint64_t kSeeds = 5;

  template <class Body>
  static void Everywhere(Body body) {
    const auto [io, simulated, carriers] = GetParam();
    if (!simulated) {
      const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers, .io = io});
      ASSERT_TRUE(runtime.ok()) << runtime.status();
      RunOn(**runtime, body);
      return;
    }
    for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
      SCOPED_TRACE(seed);
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

#define WEFT_ON_BACKENDS(Suite)                                                                       \
  INSTANTIATE_TEST_SUITE_P(Everywhere, Suite,                                                         \
                           ::testing::Values(::weft::testing::NetPlace{IoBackend::kUring, true, 1},   \
                                             ::weft::testing::NetPlace{IoBackend::kUring, true, 3},   \
                                             ::weft::testing::NetPlace{IoBackend::kUring, false, 1},  \
                                             ::weft::testing::NetPlace{IoBackend::kUring, false, 2},  \
                                             ::weft::testing::NetPlace{IoBackend::kEpoll, true, 1},   \
                                             ::weft::testing::NetPlace{IoBackend::kEpoll, true, 3},   \
                                             ::weft::testing::NetPlace{IoBackend::kEpoll, false, 1},  \
                                             ::weft::testing::NetPlace{IoBackend::kEpoll, false, 2}), \
                           ::testing::PrintToStringParamName())

}  // namespace weft::testing

#endif  // WEFT_TESTS_NET_ON_BACKENDS_H_
