// A mutex, a shared mutex and a semaphore with 1, 100 and 10,000 contenders. An operation is a lock and an unlock, with
// something small in between that shows whether the lock is one.
//
// On one carrier a thread that does not wait while it holds the lock is never met by another. So whoever starts the
// contenders holds the lock until all of them wait for it. As the locks are fair, they stay a queue to the end: each
// unlock hands the lock to the next one, and each lock waits for all the others. A contender that is alone never waits.
// `Free`: they begin with a free lock. On one carrier it stays so; on two they meet, and become a queue.
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/measure.h"
#include "weft/internal/atomic.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

// Forks contender(0), contender(1), ..., releases `held` when all of them wait for `lock`, and joins.
template <class Lock, class Guard, class MakeContender>
Task<void> Contend(Lock& lock, Guard held, int64_t contenders, MakeContender contender) {
  AwaitAll scope;
  {
    const Guard first = std::move(held);
    for (int64_t i = 0; i < contenders; ++i) scope.Fork(contender(i));
    while (lock.QueueLength() < contenders) co_await Yield();
  }
  (co_await scope.Join()).IgnoreFailures();
}

// `body(contenders, visits)` is what so many contenders do, each so many times; how often that went well.
void MeasureLock(benchmark::State& state, Task<int64_t> (*body)(int64_t, int64_t), int64_t contenders) {
  const int64_t visits = Size(400'000 / contenders, int64_t{2});
  MeasureOnRuntime(state, contenders * visits,
                   [&](Runtime& runtime) { Holds(state, runtime.Run(body(contenders, visits)), contenders * visits); });
}

// ---- Mutex: it guards a number, to which each adds one.

Task<void> AddOnes(Mutex& mutex, int64_t& sum, int64_t visits) {
  for (int64_t i = 0; i < visits; ++i) {
    const MutexGuard guard = co_await mutex.Lock();
    ++sum;
  }
}

Task<int64_t> UseMutex(int64_t contenders, int64_t visits) {
  Mutex mutex;
  int64_t sum = 0;
  co_await Contend(mutex, co_await mutex.Lock(), contenders, [&](int64_t) { return AddOnes(mutex, sum, visits); });
  co_return sum;
}

Task<int64_t> UseFreeMutex(int64_t contenders, int64_t visits) {
  Mutex mutex;
  int64_t sum = 0;
  AwaitAll scope;
  for (int64_t i = 0; i < contenders; ++i) scope.Fork(AddOnes(mutex, sum, visits));
  (co_await scope.Join()).IgnoreFailures();
  co_return sum;
}

void BM_FreeMutex100(benchmark::State& state) { MeasureLock(state, &UseFreeMutex, 100); }
void BM_Mutex1(benchmark::State& state) { MeasureLock(state, &UseMutex, 1); }
void BM_Mutex100(benchmark::State& state) { MeasureLock(state, &UseMutex, 100); }
void BM_Mutex10000(benchmark::State& state) { MeasureLock(state, &UseMutex, 10'000); }

// ---- SharedMutex: it guards two numbers that are the same for whoever reads. Each tenth visit writes: the contenders
// begin at different ones, so that there is one writer in ten places of the queue.

constexpr int64_t kVisitsForAWrite = 10;

struct Twins {
  int64_t one = 0;
  int64_t other = 0;
};

// `good`: how often it read, and found what it should.
Task<void> ReadAndWrite(SharedMutex& mutex, Twins& twins, int64_t first, int64_t visits, int64_t& good) {
  int64_t same = 0;
  for (int64_t i = first; i < first + visits; ++i) {
    if (i % kVisitsForAWrite == 0) {
      const WriterGuard guard = co_await mutex.Lock();
      ++twins.one;
      ++twins.other;
    } else {
      const ReaderGuard guard = co_await mutex.LockShared();
      same += twins.one == twins.other;
    }
  }
  good = same;
}

Task<int64_t> UseSharedMutex(int64_t contenders, int64_t visits) {
  SharedMutex mutex;
  Twins twins;
  std::vector<int64_t> good(static_cast<size_t>(contenders));
  co_await Contend(mutex, co_await mutex.Lock(), contenders,
                   [&](int64_t i) { return ReadAndWrite(mutex, twins, i, visits, good[static_cast<size_t>(i)]); });
  co_return std::reduce(good.begin(), good.end(), twins.one);
}

void BM_SharedMutex1(benchmark::State& state) { MeasureLock(state, &UseSharedMutex, 1); }
void BM_SharedMutex100(benchmark::State& state) { MeasureLock(state, &UseSharedMutex, 100); }
void BM_SharedMutex10000(benchmark::State& state) { MeasureLock(state, &UseSharedMutex, 10'000); }

// ---- Semaphore, of four permits: with one it would be a mutex. There are never more inside than it has permits.

constexpr int64_t kPermits = 4;

// `good`: how often there was room inside.
Task<void> EnterAndLeave(Semaphore& semaphore, internal::Atomic<int64_t>& inside, int64_t visits, int64_t& good) {
  int64_t room = 0;
  for (int64_t i = 0; i < visits; ++i) {
    const Permit permit = co_await semaphore.Acquire();
    // relaxed: a count, which is nobody's signal.
    room += inside.fetch_add(1, std::memory_order_relaxed) < kPermits;
    inside.fetch_sub(1, std::memory_order_relaxed);  // relaxed: the same
  }
  good = room;
}

Task<int64_t> UseSemaphore(int64_t contenders, int64_t visits) {
  Semaphore semaphore(kPermits);
  internal::Atomic<int64_t> inside{0};
  std::vector<int64_t> good(static_cast<size_t>(contenders));
  co_await Contend(semaphore, co_await semaphore.Acquire(kPermits), contenders,
                   [&](int64_t i) { return EnterAndLeave(semaphore, inside, visits, good[static_cast<size_t>(i)]); });
  co_return std::reduce(good.begin(), good.end());
}

void BM_Semaphore1(benchmark::State& state) { MeasureLock(state, &UseSemaphore, 1); }
void BM_Semaphore100(benchmark::State& state) { MeasureLock(state, &UseSemaphore, 100); }
void BM_Semaphore10000(benchmark::State& state) { MeasureLock(state, &UseSemaphore, 10'000); }

void OneAndTwo(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("carriers")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseManualTime();
}
BENCHMARK(BM_FreeMutex100)->Apply(OneAndTwo);
BENCHMARK(BM_Mutex1)->Apply(OneAndTwo);
BENCHMARK(BM_Mutex100)->Apply(OneAndTwo);
BENCHMARK(BM_Mutex10000)->Apply(OneAndTwo);
BENCHMARK(BM_SharedMutex1)->Apply(OneAndTwo);
BENCHMARK(BM_SharedMutex100)->Apply(OneAndTwo);
BENCHMARK(BM_SharedMutex10000)->Apply(OneAndTwo);
BENCHMARK(BM_Semaphore1)->Apply(OneAndTwo);
BENCHMARK(BM_Semaphore100)->Apply(OneAndTwo);
BENCHMARK(BM_Semaphore10000)->Apply(OneAndTwo);

}  // namespace
}  // namespace weft::benchmarks
