// What the runtime does for threads, cancellation, scopes, locks and I/O, apart from waits (weft/internal/wait.h) and
// the fast path of forks and joins (lib/runtime/calling_carrier.h).
//
// It is declared here, below all of them, and implemented in lib/runtime/runtime_services.cc: nothing above or below
// lib/runtime sees a carrier.
#ifndef WEFT_LIB_THREAD_RUNTIME_SERVICES_H_
#define WEFT_LIB_THREAD_RUNTIME_SERVICES_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>

#include "absl/status/status.h"
#include "lib/os/job_pool.h"
#include "weft/deadline.h"
#include "weft/internal/atomic.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/text_view.h"

namespace weft::internal {

class Backend;
struct Boundary;
struct CancelCause;
struct DeadlineTimer;
struct Operation;
struct TimerNode;
struct WaitKind;

// ---- The caller.

// The carrier that the caller is on, or null. Only for comparison.
const void* CurrentCarrier() noexcept;
// One thread more, or one less, is pinned to it.
void CountPinned(int change) noexcept;
// The virtual thread whose Blocking() has called what runs on this OS thread, or null. It is parked.
ThreadBlock* CallingThread() noexcept;
// Whether what runs on this OS thread for nobody's virtual thread was asked to end; null: nothing does.
const Atomic<bool>* CallAsked() noexcept;
// The runtime of the carrier that the caller is on, or of what has called the function that runs here; null: none.
RuntimeCore* RuntimeAround() noexcept;
// On whose behalf a function runs on an OS thread that is no carrier: what the three above return there.
struct CallOrigin {
  ThreadBlock* thread = nullptr;
  const Atomic<bool>* asked = nullptr;
  RuntimeCore* runtime = nullptr;  // whose time it has, and where what it starts belongs; null: the default one
};
// Sets it, and returns what it was. Each function has its own, also where several take turns on one OS thread.
CallOrigin ExchangeCallOrigin(CallOrigin origin) noexcept;
// Called by a function that asks for what changes while others run, perhaps in a loop: in a simulation they run now.
void YieldInCall() noexcept;
// While it lives, there is no current thread on this OS thread. For user code that a carrier calls on behalf of no
// thread.
class WithoutCurrentThread {
 public:
  WithoutCurrentThread() noexcept;
  WithoutCurrentThread(const WithoutCurrentThread&) = delete;
  WithoutCurrentThread& operator=(const WithoutCurrentThread&) = delete;
  ~WithoutCurrentThread();

 private:
  ThreadBlock* const current_;
};
// The end of the mounted thread, before it gives up the last reference that it knows of: there is no current thread any
// more. The handler of the watchdog's signal, which looks at that one at any time, must not find a block that is gone.
void LeaveCurrentThread() noexcept;
// Held during a wake-up that perhaps no carrier of the runtime makes: the woken thread may end the runtime before the
// call is over.
class OutsideCall {
 public:
  explicit OutsideCall(RuntimeCore& runtime) noexcept;
  OutsideCall(const OutsideCall&) = delete;
  OutsideCall& operator=(const OutsideCall&) = delete;
  ~OutsideCall();

 private:
  RuntimeCore* const runtime_;  // null: the caller is a carrier
};
// Tells the caller's runtime of a failure that has no other recipient (RuntimeOptions::on_uncaught_failure). False: it
// has no handler, or the caller is on no carrier.
bool TellUncaughtHandler(const char* where, const absl::Status& status, const std::exception_ptr& exception) noexcept;

// One of 0 .. count-1, by chance; in a simulation the seed decides. The caller is a carrier.
uint32_t Choose(uint32_t count) noexcept;
// True in a simulation: what happens must not depend on what the kernel has at hand. The caller is a carrier.
bool SeedDecides() noexcept;

// ---- Threads.

// Puts a thread that the caller owns into a run queue: this carrier's, or the inject queue.
void MakeRunnable(ThreadBlock& thread) noexcept;
// Gives a new root its id and its runtime, and perhaps an identity. From here on it can be asked to end.
void PrepareThread(ThreadBlock& thread, RuntimeCore& runtime, ThreadIdentity* identity = nullptr) noexcept;
// Enters the current thread, which is unregistered, in the list of its scope, or in that of the roots.
void RegisterThread(ThreadBlock& thread) noexcept;
// Makes a prepared thread runnable. Its `leaf` is its root frame, or null if Begin() makes that.
void StartThread(ThreadBlock& thread) noexcept;
// For the census: a parked thread of `runtime` has been woken.
void CountWake(RuntimeCore& runtime) noexcept;
// Lets a thread go on that the caller has taken out of its wait. Any OS thread may call it: the runtime stays until
// this has returned.
void WakeFromOutside(ThreadBlock& thread) noexcept;

// ---- Threads outside of scopes. (weft/thread_builder.h)

// RuntimeAround(), or else the default one. (runtime.cc)
RuntimeCore& RuntimeOfCaller() noexcept;
// A CHECK in a child of fork(), if the runtime's carriers are in the parent.
void CheckRunsHere(const RuntimeCore& runtime) noexcept;
// Keeps the runtime, from before the start of a thread until EndUnscoped(), the thread's last touch of it.
void BeginUnscoped(RuntimeCore& runtime) noexcept;
void EndUnscoped(RuntimeCore& runtime) noexcept;
// BeginUnscoped() and StartThread(), for one that is not in the list of roots: it enters itself there before it first
// waits, passes a checkpoint, or opens anything.
void StartUnlisted(ThreadBlock& thread, RuntimeCore& runtime) noexcept;
// A prepared thread can be asked to end from here on, until UnlistRoot(); one that was not started has an identity.
void ListRoot(ThreadBlock& root) noexcept;
void ListUnstarted(ThreadBlock& root) noexcept;
void UnlistRoot(RuntimeCore& runtime, ThreadBlock& root) noexcept;
using SharedUncaughtHandler = std::shared_ptr<
    const std::function<void(TextView what, const absl::Status& status, const std::exception_ptr& exception)>>;
SharedUncaughtHandler UncaughtHandlerOf(const RuntimeCore& runtime) noexcept;

// For an OS thread. Made while a root of the runtime is there: keeps the runtime.
class RuntimeHold {
 public:
  explicit RuntimeHold(RuntimeCore& runtime) noexcept;
  RuntimeHold(const RuntimeHold&) = delete;
  RuntimeHold& operator=(const RuntimeHold&) = delete;
  ~RuntimeHold();

  // Waits until `word`, a futex, is no longer `expected`.
  void AwaitChange(Atomic<uint32_t>& word, uint32_t expected) noexcept;

 private:
  RuntimeCore& runtime_;
};

// ---- Destructors that wait for threads, and hold their OS thread meanwhile. (lib/runtime/pinned_run.h)

// What such a destructor waits for.
struct PinnedWait {
  void* of;
  // Once: from here on, the one that ends last calls RingHeld(runtime). False: it is over.
  bool (*begin)(void* of, RuntimeCore& runtime) noexcept;
  bool (*over)(void* of) noexcept;
  bool (*may_run)(void* of, const ThreadBlock& thread) noexcept;
};
// Called on a carrier, which runs what may run, and nothing else, until it is over.
void RunThreadsUntilOver(const PinnedWait& wait) noexcept;
// Rings the carriers that are held like that.
void RingHeld(RuntimeCore& runtime) noexcept;

// ---- Children of a scope.

// Ends what was counted in the join count of `scope` and is no child: a shutdown whose last part was carried out.
void EndCounted(ScopeRecord& scope) noexcept;
// Blocks this OS thread, for a destructor that has to wait for children: its carrier runs threads inside `scope`, and
// nothing else, until all have ended.
void RunDescendantsUntilDrained(ScopeRecord& scope) noexcept;

// ---- A wait that lets others run before it registers. (WaitKind::park_again; lib/runtime/wait.cc)

// After AtCheckpoint() has returned false: because the turn is used up?
bool HasUsedUpTurn() noexcept;
// In park_again(), before it registers: like EnterWait(), for the same awaiter.
bool EnterWaitAgain(const WaitKind& kind, std::source_location where) noexcept;

// ---- The cancel queue: scopes that are shut and still have children to ask. (scope_record.h, ShutDownSome)

void EnqueueShutdown(RuntimeCore& runtime, ScopeRecord& scope) noexcept;
// Asks some of the children whose scopes are queued to end, a bounded number; carriers ask the rest between their
// threads. An OS thread that is no carrier also calls stop callbacks: those of the thread with the id `asked`, and of
// threads below it; if that is 0, any. Call it without locks held.
void RunShutdowns(RuntimeCore& runtime, uint64_t asked = 0) noexcept;
// A part of that.
void RunShutdownBatch(RuntimeCore& runtime) noexcept;
// RequestCancel() and RunShutdowns(), on any OS thread: the runtime stays until both have returned.
void RequestFromOutside(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept;
// May an owner that drains be pressed for a permit? Then it counts until EndPressed(): it may hold a carrier so long.
// Half of all carriers that there may be are left for the children of others. But if nothing has changed since the
// owner's last look (`seen`), and it is `urgent`, perhaps all wait for this one's permit: then one is left.
bool BeginPressed(RuntimeCore& runtime, uint32_t& seen, bool urgent) noexcept;
void EndPressed(RuntimeCore& runtime) noexcept;
// True in a simulation that could not go on otherwise: shields hide nothing.
bool ShieldsLifted(const RuntimeCore& runtime) noexcept;

// ---- Jobs.

// OS threads for the tasks of an executor that is made on `runtime`; in a simulation, what stands for them.
std::shared_ptr<JobPool> MakeJobPool(RuntimeCore& runtime, const JobPool::Options& options);
// A CHECK, if the caller is in a simulation, and the pool is not, or the other way round; or if that has ended.
void CheckSameWorld(const JobPool& pool) noexcept;

// ---- Time: like RuntimeNow() and RuntimeWallNow(), but any OS thread may call these.

// On the clock of RuntimeAround(); without one, on that which all runtimes have outside of simulations.
int64_t CallersNow() noexcept;
int64_t NowOf(RuntimeCore& runtime) noexcept;
int64_t WallNowOf(RuntimeCore& runtime) noexcept;
// Called by the current virtual thread. To take it back, from any thread: TimerWheel::Cancel(timer).
void ArmTimer(TimerNode& timer, int64_t deadline_ns) noexcept;
// Same, for a deadline of either clock. To take it back: WallTimers::Cancel(timer).
void ArmDeadline(DeadlineTimer& timer, Deadline deadline) noexcept;
// Called by the current virtual thread.
bool HasPassed(Deadline deadline) noexcept;
// Like ArmTimer(); any OS thread may call it.
void ArmTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept;
// To an earlier time, if it is still armed. Any OS thread.
void MoveTimerOf(RuntimeCore& runtime, TimerNode& timer, int64_t deadline_ns) noexcept;

// ---- I/O, called by the current virtual thread.

bool StartOperation(Operation& operation) noexcept;  // Driver::Start() of this carrier
std::shared_ptr<Backend> RuntimeBackend() noexcept;
const Backend* CurrentBackend() noexcept;  // the same. Null: a simulation without I/O

// ---- Descriptors, any thread.

// The backends of all runtimes of this process.
void VisitBackends(void (*visit)(Backend& backend, void* argument), void* argument) noexcept;
// Differs from the parent's in a child of fork(2) in which there was a runtime.
inline constinit Atomic<uint32_t> forks_so_far{0};  // relaxed: written in a child while it has one thread
inline uint32_t ForksSoFar() noexcept { return forks_so_far.load(std::memory_order_relaxed); }

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_RUNTIME_SERVICES_H_
