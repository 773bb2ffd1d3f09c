// Dining philosophers. Each needs two forks, and takes the left one first. When all have their left fork, everybody
// waits for ever. A simulation finds a schedule in which that happens; its report says who waits for what, and who has
// it. The same seed shows it again. If everybody takes the fork with the lower number first, the ring cannot close.
// A debug build sees the ring in dinners that go well, too: it says on standard error that the order is inverted.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace {

constexpr std::array kNames = {"Aristotle", "Descartes", "Hume", "Kant", "Plato"};

weft::Task<void> Dine(weft::Mutex& first, weft::Mutex& second) {
  for (int meal = 0; meal < 3; ++meal) {
    weft::MutexGuard one = co_await first.Lock();
    co_await weft::Yield();  // the others reach for theirs
    weft::MutexGuard other = co_await second.Lock();
    co_await weft::Sleep(absl::Milliseconds(1));
  }
}

weft::Task<void> Dinner(bool lower_first) {
  std::array<weft::Mutex, kNames.size()> forks;
  weft::AwaitAll table;
  for (size_t i = 0; i < kNames.size(); ++i) {
    size_t first = i, second = (i + 1) % kNames.size();
    if (lower_first && first > second) std::swap(first, second);
    table.Fork(Dine(forks[first], forks[second]), {.name = kNames[i]});
  }
  (co_await table.Join()).IgnoreFailures();
}

void TryDinners(const char* rule, bool lower_first) {
  constexpr uint64_t kSeeds = 200;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    std::string report;
    weft::testing::Simulation simulation(
        {.carriers = 3, .seed = seed, .on_deadlock = [&report](const std::string& text) { report = text; }});
    if (simulation.TryRun(Dinner(lower_first)).ok()) continue;
    std::printf("%s, seed %d: %s", rule, static_cast<int>(seed), report.c_str());
    return;
  }
  std::printf("%s: %d dinners, and all have eaten\n", rule, static_cast<int>(kSeeds));
}

}  // namespace

int main() {
  TryDinners("left fork first", /*lower_first=*/false);
  TryDinners("lower fork first", /*lower_first=*/true);
}
