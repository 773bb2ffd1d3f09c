#include "lib/driver/uring/uring_driver.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/base/list.h"
#include "lib/base/sanitizers.h"
#include "lib/driver/pending_operations.h"
#include "lib/driver/plain_call.h"
#include "lib/driver/request_facts.h"
#include "lib/driver/kernel_order.h"
#include "lib/driver/uring/uring_refusal.h"
#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/os/membarrier.h"
#include "lib/os/syscalls.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

// Not in the header of liburing 2.3: Linux 6.15. Without it an idle process shows as 100 % iowait.
constexpr unsigned kEnterNoIowait = 1U << 7;
constexpr unsigned kFeatureNoIowait = 1U << 17;

// How long to wait when the kernel has no memory for a submission, which nothing announces the end of. Shorter burns
// the CPU that could free some; longer delays the operations that wait.
constexpr int64_t kShortageNs = 1'000'000;

// The user data of entries that are not operations; an operation's is its address.
constexpr uint64_t kIgnored = 1;
constexpr uint64_t kWakePoll = 2;
static_assert(alignof(Operation) > kWakePoll);

uint64_t UserData(const Operation& op) noexcept { return reinterpret_cast<uintptr_t>(&op); }

// `slot` set says that a poll stands in the ring in place of the operation: of a connect that the kernel gave up on
// without being asked, which goes on in the socket; of an accept; and of a call of its own.
bool Polls(const Operation& op) noexcept { return op.slot != nullptr; }

unsigned PollEvents(IoRequest::Code code) noexcept {
  if (code == IoRequest::Code::kCallWhenHungUp) return POLLRDHUP;
  return FactsOf(code).flow == Flow::kIn ? POLLIN : POLLOUT;
}

// False: the descriptor is being closed.
bool Enlist(Operation& op) noexcept {
  if (op.pending == nullptr) return true;
  std::lock_guard guard(op.pending->lock);
  // relaxed: with the lock held; see PendingOperations.
  if (op.pending->closed.load(std::memory_order_relaxed)) return false;
  op.pending->operations.PushBack(&op);
  return true;
}

void Delist(Operation& op) noexcept {
  if (op.pending == nullptr) return;
  std::lock_guard guard(op.pending->lock);
  List<Operation, PendingTag>::Remove(&op);
}

}  // namespace

namespace {

// The kernel releases the locked memory of a closed ring some time after the close. A process that has just closed
// rings, because it stops a runtime and starts another, waits for that before it takes ENOMEM for an answer.
Atomic<int64_t> closed_a_ring_ns{0};  // when; 0: never
constexpr int64_t kMemoryComesBackNs = 1'000'000'000;
constexpr timespec kWaitForMemory = {.tv_sec = 0, .tv_nsec = 10'000'000};

bool MemoryMayComeBack() noexcept {
  // relaxed: a hint, which orders nothing.
  const int64_t closed_ns = closed_a_ring_ns.load(std::memory_order_relaxed);
  return closed_ns != 0 && Clock::Real().NowNanos() - closed_ns < kMemoryComesBackNs;
}

// Returns an errno. The flags of the ring are those of `params` and no others. The io_uring_queue_init() of a newer
// liburing adds some, like IORING_SETUP_NO_SQARRAY, and such a ring is submitted to in another way.
int SetUpOnce(unsigned submission_entries, io_uring& ring, io_uring_params& params) noexcept {
  int error = -Sys().io_uring_setup(submission_entries, params.flags);
  if (error != 0) return error;
  const int fd = io_uring_setup(submission_entries, &params);
  if (fd < 0) return -fd;
  error = -io_uring_queue_mmap(fd, &params, &ring);
  if (error != 0) {
    Sys().close(fd);
    return error;
  }
  AnnounceMapping();
  return 0;
}

// Returns an errno.
int SetUp(unsigned submission_entries, io_uring& ring, io_uring_params& params,
          UringDriver::Shortage shortage) noexcept {
  for (;;) {
    io_uring_params tried = params;
    const int error = SetUpOnce(submission_entries, ring, tried);
    if (error == ENOMEM && shortage == UringDriver::Shortage::kWaitFor && MemoryMayComeBack()) {
      nanosleep(&kWaitForMemory, nullptr);
      continue;
    }
    params = tried;
    return error;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<UringDriver>> UringDriver::Create(unsigned submission_entries,
                                                                 unsigned completion_entries, Shortage shortage) {
  std::unique_ptr<UringDriver> driver(new (std::nothrow) UringDriver());
  if (driver == nullptr) return absl::Status(absl::StatusCode::kResourceExhausted, "");  // words take memory

  io_uring_params params = {};
  params.flags =
      IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = completion_entries;
  int error = SetUp(submission_entries, driver->ring_, params, shortage);
  // Nobody reads why there is no driver for a carrier that stands in for another; words take memory.
  const auto refused = [shortage](absl::string_view call, int why) {
    return shortage == Shortage::kWaitFor ? UringRefused(call, why) : absl::Status(ErrnoToCode(why), "");
  };
  if (error != 0) return refused("io_uring_setup", error);
  driver->initialised_ = true;
  driver->features_ = params.features;
  // The kernel's table from the places of the submission queue to the entries: the n-th is the n-th.
  for (unsigned i = 0; i < params.sq_entries; ++i) driver->ring_.sq.array[i] = i;
  if ((params.features & kFeatureNoIowait) != 0) driver->no_iowait_ = kEnterNoIowait;
  // A child that is forked must not see the ring.
  error = -Sys().io_uring_dontfork(driver->ring_.ring_fd);
  if (error == 0) error = -io_uring_ring_dontfork(&driver->ring_);
  if (error != 0) return refused("madvise", error);
  error = driver->wake_.Open();
  if (error != 0) return refused("eventfd", error);
  error = driver->TryEnter();
  if (error != 0) return refused("io_uring_enter", error);
  return driver;
}

// Makes the same kind of call as a Poll() that waits, for an entry that ends at once.
int UringDriver::TryEnter() noexcept {
  constexpr int kMaxInterruptions = 100;
  constexpr int64_t kTryEnterNs = 1'000'000'000;
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_nop(sqe);
  io_uring_sqe_set_data64(sqe, kIgnored);
  int result = -EINTR;
  for (int i = 0; i < kMaxInterruptions && result == -EINTR; ++i) {
    result = EnterOnce(Publish(), /*reap=*/false, Park::kYes, kTryEnterNs, Caller::kHelper);
  }
  if (result < 0) return -result;
  OperationQueue none;
  Reap(none);
  return 0;
}

void UringDriver::BelongToThisThread() noexcept {
  // Saves 40 ns an entry. Where it is refused (16 rings a thread), ring_.enter_ring_fd stays the plain descriptor.
  if (Sys().io_uring_register(ring_.ring_fd) == 0) io_uring_register_ring_fd(&ring_);
}

UringDriver::~UringDriver() {
  WEFT_CHECK(in_flight() == 0) << "an io_uring driver is destroyed with " << in_flight() << " operations in flight";
  if (initialised_) {
    AnnounceUnmapping();
    io_uring_queue_exit(&ring_);
    // relaxed: a hint, which orders nothing.
    closed_a_ring_ns.store(Clock::Real().NowNanos(), std::memory_order_relaxed);
  }
}

// ---- Starting and cancelling ---------------------------------------------------------------------------------------

namespace {

// Sends, whatever their size: the kernel would make the same copy inside the submission, and full buffers are the
// exception. Accepts: through the ring, a thread would accept one connection in each of its turns, and of many
// connections that come together the last would wait for as many rounds of all threads. (1,000 connections that come
// while earlier ones are served: the longest wait was over 2 s, now 50 ms.) An accept that finds no connection pays two
// more calls, little beside what a connection costs.
bool EndsAtOnce(Operation& op) noexcept {
  return FactsOf(op.request.code).calls_first && EndsByPlainCall(op);
}

}  // namespace

bool UringDriver::Start(Operation& op) noexcept {
  if (Begin(op)) return true;
  AnnounceStart(op);
  if (EndsAtOnce(op)) return true;
  if (FactsOf(op.request.code).polled) op.slot = this;
  // relaxed: nobody but this thread knows the operation yet.
  op.state.store(kInFlight, std::memory_order_relaxed);
  // From Enlist() on, whoever closes the descriptor may ask for the end of the operation. That is done after Submit().
  std::lock_guard guard(lock_);
  if (!Enlist(op)) {
    op.state.store(kIdle, std::memory_order_relaxed);  // as above
    op.result = -EBADF;
    return true;
  }
  CountPending();
  Submit(op);
  return false;
}

void UringDriver::RequestCancel(Operation& op) noexcept {
  uint8_t expected = kInFlight;
  // relaxed: the operation travels through the inbox, which orders what has to be ordered.
  if (!op.state.compare_exchange_strong(expected, kCancelAsked, std::memory_order_relaxed)) return;
  // From here until PlaceCancels() has taken it out, `op` is not completed.
  inbox_.Push(op);
  Ring();
}

void UringDriver::Submit(Operation& op) noexcept {
  // Behind those that wait already: the order of submission is the order of Start().
  if (!waiting_.empty() || !Place(op)) waiting_.Push(op);
}

io_uring_sqe* UringDriver::FreeEntry() noexcept {
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) return sqe;
  Enter(Park::kNo, 0, Caller::kHelper);
  return io_uring_get_sqe(&ring_);
}

namespace {

void Prepare(io_uring_sqe& entry, const Operation& op) noexcept {
  const int fd = op.request.fd;
  if (Polls(op)) return io_uring_prep_poll_add(&entry, fd, PollEvents(op.request.code));
  // Only the member of the code's own family is there.
  const auto& [buffer, bytes] = op.request.transfer;
  const auto& [address, length] = op.request.address;
  switch (op.request.code) {
    case IoRequest::Code::kReceive:
      return io_uring_prep_recv(&entry, fd, buffer, bytes, 0);
    case IoRequest::Code::kSend:
      return io_uring_prep_send(&entry, fd, buffer, bytes, MSG_NOSIGNAL);
    case IoRequest::Code::kConnect:
      return io_uring_prep_connect(&entry, fd, address, *length);
    case IoRequest::Code::kAccept:
    case IoRequest::Code::kCallWhenReadable:
    case IoRequest::Code::kCallWhenWritable:
    case IoRequest::Code::kCallWhenHungUp:
      break;  // a poll always stands in their place
  }
  __builtin_unreachable();
}

}  // namespace

bool UringDriver::Place(Operation& op) noexcept {
  io_uring_sqe* const sqe = FreeEntry();
  if (sqe == nullptr) return false;
  Prepare(*sqe, op);
  io_uring_sqe_set_data64(sqe, UserData(op));
  return true;
}

void UringDriver::PlaceWaiting() noexcept {
  while (Operation* const op = waiting_.front()) {
    if (!Place(*op)) return;
    waiting_.Pop();
  }
}

void UringDriver::PlaceCancels(OperationQueue& ended) noexcept {
  for (;;) {
    if (cancels_ == nullptr) cancels_ = inbox_.TakeAll();
    if (cancels_ == nullptr) return;
    Operation& op = *cancels_;
    // relaxed: only the lock's holder moves an operation on from here.
    if (op.state.load(std::memory_order_relaxed) == kEndedAsked) {
      cancels_ = op.link;
      op.state.store(kIdle, std::memory_order_relaxed);
      ended.Push(op);
      continue;
    }
    if (waiting_.Remove(op)) {
      cancels_ = op.link;
      op.result = -ECANCELED;
      op.cancelled = true;
      op.state.store(kIdle, std::memory_order_relaxed);
      ended.Push(op);
      continue;
    }
    io_uring_sqe* const sqe = FreeEntry();
    if (sqe == nullptr) return;
    io_uring_prep_cancel64(sqe, UserData(op), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, kIgnored);
    cancels_ = op.link;
    op.state.store(kCancelPlaced, std::memory_order_relaxed);
  }
}

// ---- Entering the kernel -------------------------------------------------------------------------------------------

unsigned UringDriver::Publish() noexcept {
  // The kernel reads entries up to the tail; release makes them whole before it moves.
  __atomic_store_n(ring_.sq.ktail, ring_.sq.sqe_tail, __ATOMIC_RELEASE);
  return ring_.sq.sqe_tail - __atomic_load_n(ring_.sq.khead, __ATOMIC_ACQUIRE);
}

int UringDriver::EnterOnce(unsigned to_submit, bool reap, Park park, int64_t timeout_ns, Caller caller) noexcept {
  unsigned flags = reap || park == Park::kYes ? IORING_ENTER_GETEVENTS : 0;
  timespec timeout;
  io_uring_getevents_arg argument = {};
  void* argument_pointer = nullptr;
  size_t argument_size = _NSIG / 8;
  if (park == Park::kYes) {
    flags |= no_iowait_;
    if (timeout_ns != kNoTimeout) {
      timeout = {.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
      argument.sigmask_sz = _NSIG / 8;
      argument.ts = reinterpret_cast<uintptr_t>(&timeout);
      argument_pointer = &argument;
      argument_size = sizeof(argument);
      flags |= IORING_ENTER_EXT_ARG;
    }
  }
  // The registered descriptor belongs to the thread that registered it.
  int ring = ring_.ring_fd;
  if (caller == Caller::kOwner && ring_.enter_ring_fd != ring_.ring_fd) {
    ring = ring_.enter_ring_fd;
    flags |= IORING_ENTER_REGISTERED_RING;
  }
  const int refused = Sys().io_uring_enter(ring_.ring_fd);
  if (refused != 0) return refused;
  const BlockingSyscall blocking;
  return io_uring_enter2(static_cast<unsigned>(ring), to_submit, park == Park::kYes ? 1 : 0, flags,
                         static_cast<sigset_t*>(argument_pointer), argument_size);
}

UringDriver::Entered UringDriver::Enter(Park park, int64_t timeout_ns, Caller caller) noexcept {
  for (;;) {
    const unsigned to_submit = Publish();
    const bool flush =
        (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
    if (park == Park::kNo && to_submit == 0 && !flush) return Entered::kDone;

    const int result = EnterOnce(to_submit, flush, park, timeout_ns, caller);
    switch (result) {
      case -ETIME:
        return Entered::kTimedOut;
      case -EINTR:
        return Entered::kInterrupted;
      case -EAGAIN:
      case -EBUSY:
      case -ENOMEM:
        return Entered::kShort;
      case -EBADR:
        WEFT_CHECK(result != -EBADR) << "the kernel had no memory for completions and dropped some: io_uring is broken";
    }
    WEFT_CHECK(result >= 0) << "io_uring_enter failed with errno " << -result << " " << ErrnoName(-result);
    // The kernel stops behind an entry that it refuses. That entry gets a completion, and the rest still waits.
    const unsigned submitted = static_cast<unsigned>(result);
    if (park == Park::kYes || submitted == 0 || submitted >= to_submit) return Entered::kDone;
  }
}

bool UringDriver::PlaceWakePoll() noexcept {
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return false;
  // Rings that woke nobody are behind us: the doorbell has them, and is looked at before the wait.
  wake_.Drain();
  io_uring_prep_poll_multishot(sqe, wake_.fd(), POLLIN);
  io_uring_sqe_set_data64(sqe, kWakePoll);
  wake_poll_armed_ = true;
  return true;
}

void UringDriver::Reap(OperationQueue& ended) noexcept {
  for (;;) {
    // Read anew each time: an operation that is submitted again may enter the kernel, which adds completions.
    const unsigned head = *ring_.cq.khead;
    if (head == __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE)) return;
    const io_uring_cqe cqe = ring_.cq.cqes[head & ring_.cq.ring_mask];
    // release: the kernel may overwrite the entry from here on.
    __atomic_store_n(ring_.cq.khead, head + 1, __ATOMIC_RELEASE);
    if (cqe.user_data == kIgnored) continue;
    if (cqe.user_data == kWakePoll) {
      if ((cqe.flags & IORING_CQE_F_MORE) == 0) wake_poll_armed_ = false;
      continue;
    }
    Ended(*reinterpret_cast<Operation*>(static_cast<uintptr_t>(cqe.user_data)), cqe.res, ended);
  }
}

void UringDriver::Ended(Operation& op, int32_t result, OperationQueue& ended) noexcept {
  if (Retried(op, result)) return;
  op.result = result;
  op.cancelled = result == -ECANCELED;
  AnnounceEnd(op);
  uint8_t state = kInFlight;
  // relaxed: RequestCancel() either loses here, and does nothing, or sends the operation through the inbox.
  if (!op.state.compare_exchange_strong(state, kIdle, std::memory_order_relaxed)) {
    if (state == kCancelAsked) {
      op.state.store(kEndedAsked, std::memory_order_relaxed);
      return;
    }
    WEFT_CHECK(state == kCancelPlaced) << "an operation ended twice";
    op.state.store(kIdle, std::memory_order_relaxed);
  }
  ended.Push(op);
}

// Returns true if `result` does not concern the caller, and the operation was submitted again. With a cancellation
// under way such a result becomes -ECANCELED instead: a new submission could slip in behind the cancel entry.
bool UringDriver::Retried(Operation& op, int32_t& result) noexcept {
  const bool polled = FactsOf(op.request.code).polled;
  const bool ready = Polls(op) && result >= 0;
  if (ready && polled && EndsByPlainCall(op)) {
    result = op.result;
    return false;
  }
  // The kernel waits anew 127 times if others have taken what the descriptor became ready for, and then gives up.
  const bool taken = result == -EAGAIN && op.request.code != IoRequest::Code::kConnect;
  if (!ready && !taken && result != -ECANCELED && result != -EINTR) return false;
  // relaxed: if a cancellation is asked for only after this, its entry is placed behind the new submission.
  if (op.state.load(std::memory_order_relaxed) != kInFlight) {
    result = -ECANCELED;
    return false;
  }
  // A connect is begun once; after that the socket is waited for, and then asked how it went by a second connect.
  op.slot = polled || (op.request.code == IoRequest::Code::kConnect && result < 0) ? this : nullptr;
  Submit(op);
  return true;
}

// ---- Polling -------------------------------------------------------------------------------------------------------

int UringDriver::Poll(int64_t timeout_ns) noexcept {
  const bool rung = doorbell_.TakeRing();
  OperationQueue ended;
  {
    std::lock_guard guard(lock_);
    PlaceCancels(ended);
    PlaceWaiting();
    if (timeout_ns > 0 && !rung && ended.empty()) {
      WaitAndReap(timeout_ns, ended);
    } else {
      Enter(Park::kNo, 0, Caller::kOwner);
      Reap(ended);
    }
  }
  return Complete(ended);
}

void UringDriver::WaitAndReap(int64_t timeout_ns, OperationQueue& ended) noexcept {
  PollDeadline deadline(timeout_ns);
  for (;;) {
    const bool armed = wake_poll_armed_ || PlaceWakePoll();
    doorbell_.LieDown(Doorbell::kInKernel);
    const bool may_sleep = doorbell_.MaySleep();
    const bool ready = *ring_.cq.khead != __atomic_load_n(ring_.cq.ktail, __ATOMIC_ACQUIRE);
    // Of what has no place in the ring yet the kernel would tell nothing.
    const bool all_placed = cancels_ == nullptr && waiting_.empty();
    const bool may_park = armed && may_sleep && !ready && all_placed;
    const Entered entered = Enter(may_park ? Park::kYes : Park::kNo, deadline.left_ns(), Caller::kOwner);
    doorbell_.GetUp();
    Reap(ended);
    if (doorbell_.TakeRing() || !ended.empty() || entered == Entered::kTimedOut || deadline.Passed()) return;
    if (entered == Entered::kShort) {
      Atomic<uint32_t> nobody{0};
      FutexWait(nobody, 0, Clock::Real().NowNanos() + std::min(deadline.left_ns(), kShortageNs));
    }
    PlaceCancels(ended);
    PlaceWaiting();
    if (!ended.empty()) return;
  }
}

int UringDriver::Relieve() noexcept {
  if (!lock_.try_lock()) return 0;
  // Completions wait for the owner to enter the kernel: an interrupt makes it. They may be there in this turn already.
  if ((__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0) InterruptRunningThreads();
  OperationQueue ended;
  PlaceCancels(ended);
  PlaceWaiting();
  Enter(Park::kNo, 0, Caller::kHelper);
  Reap(ended);
  lock_.unlock();
  return Complete(ended);
}

int UringDriver::Complete(OperationQueue& ended) noexcept { return Deliver(ended, Delist); }

void UringDriver::Ring() noexcept {
  if (doorbell_.Ring()) wake_.Signal();
}

}  // namespace weft::internal
