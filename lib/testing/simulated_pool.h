// What stands for a pool of OS threads in a simulation: its jobs run on fibers of the OS thread that runs the carriers.
//
// The host decides by the seed when a job begins and when one goes on, like for carriers. A job lets the others run
// where it asks for the time, or whether it is to end (YieldInJob in host.h), while it waits for a word that virtual
// threads change, and for as long as a call on the machine takes.
#ifndef WEFT_LIB_TESTING_SIMULATED_POOL_H_
#define WEFT_LIB_TESTING_SIMULATED_POOL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/os/clock.h"
#include "lib/os/job_pool.h"
#include "lib/os/stand_in.h"
#include "weft/internal/job.h"

namespace weft::internal {

class SimulatedPool final : public JobPool {
 public:
  // A job keeps `runtime` until it has ended. Null: whoever awaits it does.
  SimulatedPool(const Options& options, Clock& clock, RuntimeCore* runtime) noexcept;
  ~SimulatedPool() override;

  bool Submit(Job& job) noexcept override;
  bool Withdraw(Job& job) noexcept override;
  int workers() noexcept override;
  bool IsWorker() const noexcept override { return running_ != nullptr; }
  const RuntimeCore* simulation() const noexcept override { return runtime_; }
  bool over() const noexcept override { return over_; }

  // ---- By the host, which keeps it until no job runs: whoever had it made may be gone before a job's last steps.
  // How many jobs may go on, or begin, just now.
  uint32_t Able() const noexcept;
  // Goes on with the `chosen`-th of them, or begins the one that has been queued for longest.
  void Enter(uint32_t chosen);
  // When one goes on that waits for a time; INT64_MAX: none does.
  int64_t NextNanos() const noexcept;
  bool idle() const noexcept { return busy_ == 0 && jobs_.empty(); }
  // The simulation has ended.
  void Close() noexcept;

  // ---- By its job that runs.
  void Await(const Atomic<uint32_t>& word, uint32_t expected) noexcept;
  void Pause(int64_t nanos) noexcept;

 private:
  struct Desk;

  bool MayBegin() const noexcept;

  const Options options_;
  Clock& clock_;
  RuntimeCore* const runtime_;
  JobQueue jobs_;
  int64_t queued_ = 0;
  int64_t busy_ = 0;
  std::vector<std::unique_ptr<Desk>> desks_;
  Desk* running_ = nullptr;
  bool over_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_SIMULATED_POOL_H_
