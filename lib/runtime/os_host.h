// Carriers on OS threads, one each, parked in their drivers; and further OS threads for what blocks.
#ifndef WEFT_LIB_RUNTIME_OS_HOST_H_
#define WEFT_LIB_RUNTIME_OS_HOST_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "lib/driver/driver.h"
#include "lib/os/job_pool.h"
#include "lib/os/thread.h"
#include "lib/os/worker_pool.h"
#include "lib/runtime/host.h"
#include "weft/internal/atomic.h"
#include "weft/internal/job.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class OsHost final : public Host {
 public:
  OsHost(std::shared_ptr<Backend> backend, const WorkerPool::Options& jobs) noexcept;
  ~OsHost() override;

  bool StartCarrier(Carrier& carrier, absl::Status* why) noexcept override;
  void Park(Carrier& carrier, int64_t deadline_ns) noexcept override;
  void Ring(Carrier& carrier) noexcept override;
  void BetweenSteps(Carrier&) noexcept override {}
  void AwaitDone(Atomic<uint32_t>& done) noexcept override;
  void AnnounceDone(Atomic<uint32_t>& done) noexcept override;
  bool StartJob(Job& job) noexcept override { return jobs_.Submit(job); }
  bool WithdrawJob(Job& job) noexcept override { return jobs_.Withdraw(job); }
  int JobThreads() noexcept override { return jobs_.workers(); }
  std::shared_ptr<JobPool> MakePool(const JobPool::Options& options) override {
    return std::make_shared<WorkerPool>(options);
  }
  void AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept override;
  void JoinCarriers() noexcept override;

 private:
  struct Seat;
  static void RunCarrier(void* seat) noexcept;

  const std::shared_ptr<Backend> backend_;
  WorkerPool jobs_;
  Atomic<uint32_t> all_left_{0};  // no carrier runs any more, so no thread rings one
  std::unique_ptr<Seat> seats_;  // a list; used under the runtime's pool lock, and at its end
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_OS_HOST_H_
