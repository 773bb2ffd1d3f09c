// What carriers run on: OS threads in production (os_host.cc), fibers on one OS thread in a simulation (lib/testing).
#ifndef WEFT_LIB_RUNTIME_HOST_H_
#define WEFT_LIB_RUNTIME_HOST_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "lib/os/job_pool.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class Carrier;
class Driver;
struct Job;

class Host {
 public:
  virtual ~Host() = default;

  // Any thread. Begins to run carrier.Main(). False if something for it is missing: an OS thread, a descriptor, memory.
  // Then nothing is left behind, and `why` says what is missing. `why` may be null: words take memory.
  virtual bool StartCarrier(Carrier& carrier, absl::Status* why) noexcept = 0;

  // The carrier itself: waits until Ring(), a completion of its driver, or the deadline on the runtime's clock
  // (INT64_MAX: none).
  virtual void Park(Carrier& carrier, int64_t deadline_ns) noexcept = 0;
  // Any thread. Sticky: a ring before a Park() makes it return at once. What came before Ring() happens before what
  // follows the Park() that it ends.
  virtual void Ring(Carrier& carrier) noexcept = 0;
  // The carrier itself, between two threads that it runs, and while it looks for work.
  virtual void BetweenSteps(Carrier& carrier) noexcept = 0;

  // A thread that is no carrier: waits until `done` is 1.
  virtual void AwaitDone(Atomic<uint32_t>& done) noexcept = 0;
  // Sets `done` to 1 and wakes the thread that awaits it.
  virtual void AnnounceDone(Atomic<uint32_t>& done) noexcept = 0;

  // The same until `word` is no longer `expected`. Whoever changes it wakes those who sleep on the word (futex.h).
  virtual void AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept = 0;

  // ---- What may block its OS thread. (blocking.cc)
  // Any thread. Runs the job on an OS thread that is no carrier, or refuses it, perhaps before the call returns. False:
  // as many as may be are queued already, and nothing was done.
  [[nodiscard]] virtual bool StartJob(Job& job) noexcept = 0;
  // Any thread. Takes back a job that was started. False: it has begun, or is being refused.
  [[nodiscard]] virtual bool WithdrawJob(Job& job) noexcept = 0;
  // The job itself: where it shares its OS thread with carriers and other jobs, lets these run. Afterwards the origin
  // of its call (runtime_services.h) is what it was.
  virtual void YieldInJob() noexcept {}
  // OS threads that there are for jobs.
  virtual int JobThreads() noexcept = 0;
  // A pool of its own for an executor, which may outlive the host.
  virtual std::shared_ptr<JobPool> MakePool(const JobPool::Options& options) = 0;

  // Do the carriers run in a child of fork(2) as well? OS threads do not.
  virtual bool SurvivesFork() const noexcept { return false; }
  // Does a seed decide what happens? Then what the kernel happens to have at hand must not.
  virtual bool SeedDecides() const noexcept { return false; }

  // Called when every carrier's Main() has returned or is about to: waits for all.
  virtual void JoinCarriers() noexcept = 0;
};

// ---- What a host does with a carrier. (carrier.cc)

uint32_t IndexOf(const Carrier& carrier) noexcept;
// Made and destroyed by the OS thread that runs the carrier; null until then.
std::unique_ptr<Driver>& DriverOf(Carrier& carrier) noexcept;
// Runs threads until the runtime stops.
void RunCarrier(Carrier& carrier) noexcept;
// Where carriers are switched on one OS thread: makes `carrier` the one that this thread is on. Returns the one before.
// Either may be null: none.
Carrier* ExchangeCarrier(Carrier* carrier) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_HOST_H_
