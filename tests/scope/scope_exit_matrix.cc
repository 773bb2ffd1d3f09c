#include "tests/scope/scope_exit_matrix.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/cancel/cancel_request.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

constexpr int kSeeds = 3;   // in a simulation
constexpr int kRounds = 2;  // on real carriers
constexpr int kMaxDepth = 3;
constexpr int kChildren = 2;
constexpr int kInner = 2;  // children of a child that joins, branches of one in All
constexpr int64_t kStrangerTurns = 20;

// On real carriers: doubled until it is enough.
constexpr absl::Duration kFirstTimeout = absl::Microseconds(500);
// In a simulation: no time passes before all are parked.
constexpr absl::Duration kSimulatedTimeout = absl::Milliseconds(15);
constexpr absl::Duration kSimulatedRest = absl::Milliseconds(10);
constexpr absl::Duration kRest = absl::Microseconds(20);

enum class Nesting : uint8_t {
  kInFrames,      // the scopes lie in frames of one thread
  kAsked,         // each is opened by a child of the one around it, and that child is cancelled with it
  kByThemselves,  // ... and that child is shielded, and leaves by the same way as the outermost owner, at the same time
};

struct Nest {
  Nesting nesting;
  int depth;
};

const char* NestingName(Nesting nesting) {
  switch (nesting) {
    case Nesting::kInFrames:
      return "in frames";
    case Nesting::kAsked:
      return "in children that are asked";
    case Nesting::kByThemselves:
      return "in children that leave by themselves";
  }
  return "";
}

std::vector<Nest> Nests(const Way& way, Doing doing) {
  std::vector<Nest> nests;
  for (int depth = 1; depth <= kMaxDepth; ++depth) {
    nests.push_back({Nesting::kInFrames, depth});
    if (depth == 1) continue;
    // An inner owner that is asked has to wait for that, and its children begin meanwhile.
    if (doing != Doing::kNotStarted) nests.push_back({Nesting::kAsked, depth});
    if (way.leave != nullptr) nests.push_back({Nesting::kByThemselves, depth});
  }
  return nests;
}

const char* DoingName(Doing doing) {
  switch (doing) {
    case Doing::kReading:
      return "Reading";
    case Doing::kReadingOnEpoll:
      return "ReadingOnEpoll";
    case Doing::kAccepting:
      return "Accepting";
    case Doing::kAcceptingOnEpoll:
      return "AcceptingOnEpoll";
    case Doing::kSleepingLong:
      return "SleepingLong";
    case Doing::kSleepingForever:
      return "SleepingForever";
    case Doing::kLocking:
      return "Locking";
    case Doing::kLockingHandedOver:
      return "LockingHandedOver";
    case Doing::kAcquiring:
      return "Acquiring";
    case Doing::kWaitingForEvent:
      return "WaitingForEvent";
    case Doing::kJoining:
      return "Joining";
    case Doing::kAwaitingAll:
      return "AwaitingAll";
    case Doing::kYielding:
      return "Yielding";
    case Doing::kNotStarted:
      return "NotStarted";
    case Doing::kWaitingForTurn:
      return "WaitingForTurn";
    case Doing::kRoaming:
      return "Roaming";
    case Doing::kComputing:
      return "Computing";
  }
  return "";
}

constexpr Doing kDoings[] = {
    Doing::kReading,      Doing::kReadingOnEpoll,  Doing::kAccepting,      Doing::kAcceptingOnEpoll,
    Doing::kSleepingLong, Doing::kSleepingForever, Doing::kLocking,        Doing::kLockingHandedOver,
    Doing::kAcquiring,    Doing::kWaitingForEvent, Doing::kJoining,        Doing::kAwaitingAll,
    Doing::kYielding,     Doing::kNotStarted,      Doing::kWaitingForTurn, Doing::kRoaming,
    Doing::kComputing,
};

constexpr Place kPlaces[] = {{true, 1}, {true, 2}, {true, 3}, {false, 1}, {false, 2}, {false, 4}};

bool IsThere(const Place& place, const Way& way, Doing doing) {
  switch (doing) {
    // Whoever waits to be asked gives its carrier to its children.
    case Doing::kNotStarted:
      return way.leave != nullptr;
    // Virtual time stands still while a thread can run, so that no timer would ever ask.
    case Doing::kYielding:
      return !(place.simulated && way.timed);
    case Doing::kRoaming:
      return place.carriers > 1 && !(place.simulated && way.timed);
    case Doing::kComputing:
      return place.carriers > 1 && !place.simulated;
    default:
      return true;
  }
}

// None: the case needs no I/O, and is faster simulated without it.
std::optional<IoBackend> IoOf(Doing doing) {
  switch (doing) {
    case Doing::kReading:
    case Doing::kAccepting:
      return IoBackend::kUring;
    case Doing::kReadingOnEpoll:
    case Doing::kAcceptingOnEpoll:
      return IoBackend::kEpoll;
    default:
      return std::nullopt;
  }
}

// What the children of one scope use. It outlives the scope.
struct Level {
  Level(int level_number, int children) : number(level_number), here(children * (1 + kInner)) {}

  const int number;  // 1: the innermost
  Mutex mutex;
  Mutex handed_over;
  Semaphore semaphore{1};
  std::vector<Introduction> here;  // of each child, and then of its own
  std::atomic<int> owner_carrier{-1};
  std::atomic<int> elsewhere{0};  // children that have been seen on another carrier
};

}  // namespace

class ExitRun : public ext::SchedulingObserver {
 public:
  // `held_up`: one child of the innermost scope is shielded, and ends when the stranger has had its turns.
  ExitRun(const Place& place, const Way& way, Doing doing, Nest nest, int children, bool held_up)
      : place_(place), way_(way), doing_(doing), nest_(nest), children_(children), held_up_(held_up) {}
  ExitRun(const ExitRun&) = delete;
  ExitRun& operator=(const ExitRun&) = delete;

  // The root: the owner, or what is around it, and a stranger beside it.
  Task<void> Whole() {
    AwaitAll outside;
    outside.Fork([this] { return Stranger(); });
    co_await way_.around(*this);
    leaving_ = false;
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_TRUE(departed_);
    EXPECT_EQ(went_on_, held_up_);
    done_ = true;
    (co_await outside.Join()).IgnoreFailures();
  }

  // ---- For the ways.

  // The task of the owner, called by its thread. Once more, if it was over before the departure.
  Task<void> Enter() {
    leaving_ = false;
    mounts_ = owner_mounts_ = 0;
    owner_ = VirtualThread::Current().id();
    signals_ = std::make_unique<Signals>();
    return Leave(nest_.depth);
  }
  bool simulated() const { return place_.simulated; }
  // All is ready: the owner leaves, or waits to be asked.
  bool departed() const { return departed_; }
  Task<void> AwaitDeparture() { co_await departure_.Wait(); }
  // Whoever asks the owner asks all at once.
  void AllDie() {
    if (!place_.simulated) return;
    for (Dying& scope : scopes_) scope.dying = true;
    leaving_ = true;
  }

  // ---- For who runs it.

  // Each owner that leaves by itself holds its carrier once: the children are alive until they are asked. One that is
  // unwound holds none, but for one whose lock a child waits for that has not been asked yet, by a carrier beside it:
  // it gives the lock back at once.
  void CheckPins(int64_t pins) const {
    const int64_t leaves = nest_.nesting == Nesting::kAsked ? 1 : nest_.depth;
    const int64_t held = way_.leave != nullptr ? leaves : 0;
    const bool may_be_wanted = doing_ == Doing::kLockingHandedOver && !place_.simulated;
    EXPECT_GE(pins, held);
    EXPECT_LE(pins, held + (may_be_wanted ? nest_.depth : 0));
  }

  // What is dispatched on the way out in a simulation: mounts of threads whose scope is dying.
  //
  // Everyone who is asked to end is mounted once, and ends. It was parked: whoever asks withdraws the wait and makes it
  // runnable, once, because a thread that is asked a second time, or asked and woken, is not withdrawn again
  // (ThreadState::Claim). Or it was runnable: then it ends at its next checkpoint. Or not begun: then it is mounted
  // only to be found cancelled. It is mounted once more for each scope that it has open and is not joining, if children
  // of that are alive when its own unwinding comes there: it waits for them (Carrier::Unwind). A child that joins is
  // resumed by the last of its own, asked or not.
  //
  // In a destructor the owner is never unmounted. Unwound, it is mounted as everyone else.
  //
  // Whoever leaves asks before anybody is mounted, up to kFirstBatches times, kBatch children of one scope at most each
  // time. What is left is asked by the carriers, each before each of its mounts. So threads that are runnable, and have
  // not been asked, are mounted less often than there are batches left, all of them together.
  void CheckMounts() const {
    if (held_up_) return;
    constexpr int64_t kBatch = internal::CancelBatch::kMax;
    constexpr int64_t kFirstBatches = 16;
    const bool in_frames = nest_.nesting == Nesting::kInFrames;
    const bool with_own = doing_ == Doing::kJoining || doing_ == Doing::kAwaitingAll;
    const int64_t inner_owners = in_frames ? 0 : nest_.depth - 1;
    const int64_t threads = nest_.depth * children_ * (with_own ? 1 + kInner : 1) + inner_owners;
    const int64_t drains = nest_.nesting == Nesting::kAsked ? inner_owners : 0;
    // But for the one in the outermost scope, they may leave before what is around them dies.
    const int64_t before = nest_.nesting == Nesting::kByThemselves && nest_.depth > 1 ? inner_owners - 1 : 0;
    const int64_t batches = nest_.depth * ((children_ + kBatch - 1) / kBatch) + (way_.leave == nullptr ? 1 : 0);
    const int64_t unasked = doing_ == Doing::kYielding ? std::max<int64_t>(0, batches - kFirstBatches - 1) : 0;
    EXPECT_GE(mounts_, threads - before);
    EXPECT_LE(mounts_, threads + drains + unasked);
    if (way_.leave != nullptr) {
      EXPECT_EQ(owner_mounts_, 0);
    } else {
      EXPECT_GE(owner_mounts_, 1);
      EXPECT_LE(owner_mounts_, 1 + (in_frames ? nest_.depth : 1));
    }
  }

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // ---- Counting, in a simulation, where all is on one OS thread.

  struct Dying {
    const internal::ScopeRecord* scope = nullptr;  // null: not open
    bool dying = false;
  };

  void OnMount(const ext::ThreadEvent& event) noexcept override {
    if (!leaving_) return;
    if (event.thread == owner_) {
      ++owner_mounts_;
      return;
    }
    const internal::ThreadBlock* const thread = internal::CurrentThread();
    // Of the innermost scope that it is inside: while one further out is dying, a shield may keep this one as it was.
    for (const Dying& each : scopes_) {
      if (each.scope == nullptr || !thread->IsInside(*each.scope)) continue;
      if (each.dying) ++mounts_;
      return;
    }
  }

  // A local that goes just before the scope.
  class BeforeScope {
   public:
    BeforeScope(ExitRun& run, int number, const internal::ScopeRecord& scope) : run_(run), number_(number) {
      if (run_.place_.simulated) run_.scopes_[number_ - 1] = {&scope, false};
    }
    BeforeScope(const BeforeScope&) = delete;
    BeforeScope& operator=(const BeforeScope&) = delete;
    ~BeforeScope() {
      if (!run_.place_.simulated) return;
      run_.leaving_ = true;
      for (int i = run_.nest_.nesting == Nesting::kAsked ? 1 : number_; i <= number_; ++i) {
        run_.scopes_[i - 1].dying = true;
      }
    }

   private:
    ExitRun& run_;
    const int number_;
  };
  // A local that goes just after it.
  class AfterScope {
   public:
    AfterScope(ExitRun& run, int number) : run_(run), number_(number) {}
    AfterScope(const AfterScope&) = delete;
    AfterScope& operator=(const AfterScope&) = delete;
    ~AfterScope() {
      if (run_.place_.simulated) run_.scopes_[number_ - 1] = {};
    }

   private:
    ExitRun& run_;
    const int number_;
  };

  // ---- The owners.

  struct Signals {
    Event ready[kMaxDepth];  // an inner owner's children are there
    Event go;
  };

  ScopeOptions OptionsOf(int number) const {
    if (doing_ != Doing::kWaitingForTurn) return {};
    // One child, and the owner of the scope inside.
    return {.max_concurrency = nest_.nesting != Nesting::kInFrames && number > 1 ? 2 : 1};
  }

  Task<void> Leave(int number) {
    const Counted local;
    Level level(number, children_);
    const MutexGuard held = co_await level.mutex.Lock();
    const Permit held_too = co_await level.semaphore.Acquire();
    const AfterScope after(*this, number);
    AwaitAll scope(OptionsOf(number));
    const BeforeScope before(*this, number, scope);
    const MutexGuard handed_over = co_await level.handed_over.Lock();
    if (nest_.nesting == Nesting::kInFrames) {
      co_await StartChildren(level, scope);
      co_await (number > 1 ? Leave(number - 1) : Depart());
      co_return;
    }
    if (number > 1) {
      scope.Fork([this, number]() -> Task<void> {
        const Counted inside;
        // So that it is not cancelled, but leaves its scope itself.
        co_await (nest_.nesting == Nesting::kByThemselves ? Shielded(Leave(number - 1)) : Leave(number - 1));
      });
      co_await signals_->ready[number - 2].Wait();
    }
    if (doing_ != Doing::kNotStarted) co_await StartChildren(level, scope);
    if (number < nest_.depth) {
      signals_->ready[number - 1].Set();
      co_await signals_->go.Wait();
    }
    if (doing_ == Doing::kNotStarted) co_await StartChildren(level, scope);
    co_await Depart();
  }
  static Task<void> Shielded(Task<void> task) { co_await Shield(std::move(task)); }

  Task<void> Depart() {
    departed_ = true;
    if (way_.leave != nullptr) {
      if (nest_.nesting == Nesting::kByThemselves) signals_->go.Set();
      way_.leave();
      co_return;
    }
    if (way_.timed) AllDie();
    departure_.Set();
    co_await Forever();
  }

  // ---- The children.

  // As many as compute leave a carrier for all the others.
  bool Computes(const Level& level, int index) const {
    return doing_ == Doing::kComputing && index == 0 && level.number < place_.carriers;
  }
  bool HoldsUp(const Level& level, int index) const { return held_up_ && index == 0 && level.number == 1; }

  Task<void> StartChildren(Level& level, AwaitAll& scope) {
    level.owner_carrier = VirtualThread::Current().carrier();
    for (int i = 0; i < children_; ++i) {
      scope.Fork([this, &level, i, held = Counted()] { return Child(level, i); });
    }
    if (doing_ == Doing::kNotStarted) co_return;
    for (int i = 0; i < children_; ++i) {
      Introduction* const here = &level.here[i * (1 + kInner)];
      if (doing_ == Doing::kYielding || (doing_ == Doing::kRoaming && place_.simulated) || HoldsUp(level, i)) {
        (void)co_await here[0].Await();
      } else if (doing_ == Doing::kRoaming || Computes(level, i)) {
        // The owner keeps its carrier, so that the child is on another.
        while (level.elsewhere <= i && !CancelRequested()) std::this_thread::yield();
        if (CancelRequested()) co_await Yield();  // the time was up before the child had begun
      } else {
        co_await here[0].AwaitParked();
      }
      if (doing_ == Doing::kWaitingForTurn) co_return;
      if (doing_ != Doing::kJoining && doing_ != Doing::kAwaitingAll) continue;
      for (int j = 1; j <= kInner; ++j) co_await here[j].AwaitParked();
    }
  }

  // Nobody comes back from what it does: it is cancelled there.
  Task<void> Child(Level& level, int index) {
    const Counted local;
    Introduction* const here = &level.here[index * (1 + kInner)];
    if (HoldsUp(level, index)) {
      co_await UntilTheStrangerHasRun(*here);
      co_return;
    }
    switch (doing_) {
      case Doing::kReading:
      case Doing::kReadingOnEpoll:
        co_await Read(*here);
        break;
      case Doing::kAccepting:
      case Doing::kAcceptingOnEpoll: {
        absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
        EXPECT_TRUE(listener.ok()) << listener.status();
        here->Make();
        if (listener.ok()) (void)co_await listener->Accept();
        break;
      }
      case Doing::kSleepingLong:
        here->Make();
        co_await Sleep(absl::Hours(1));
        break;
      case Doing::kSleepingForever:
        here->Make();
        co_await Sleep(absl::InfiniteDuration());
        break;
      case Doing::kLocking: {
        here->Make();
        const MutexGuard never = co_await level.mutex.Lock();
        break;
      }
      case Doing::kLockingHandedOver: {
        here->Make();
        const MutexGuard granted = co_await level.handed_over.Lock();
        for (;;) co_await Yield();
      }
      case Doing::kAcquiring: {
        here->Make();
        const Permit never = co_await level.semaphore.Acquire();
        break;
      }
      case Doing::kJoining: {
        AwaitAll own;
        for (int i = 1; i <= kInner; ++i) own.Fork([here, i, held = Counted()] { return WaitForEvent(here[i]); });
        here->Make();
        (co_await own.Join()).IgnoreFailures();
        break;
      }
      case Doing::kAwaitingAll:
        here->Make();
        co_await All(WaitForEvent(here[1]), WaitForEvent(here[2]));
        break;
      case Doing::kYielding:
        here->Make();
        for (;;) co_await Yield();
      case Doing::kNotStarted:
        // Another carrier has stolen it, or, in frames, the destructor of an inner scope has let it begin.
        EXPECT_TRUE(!place_.simulated || (nest_.nesting == Nesting::kInFrames && level.number > 1));
        co_await Forever();
        break;
      case Doing::kWaitingForTurn:
        // Or the owner of the scope inside has left, and another has its turn.
        EXPECT_TRUE(index == 0 || nest_.nesting == Nesting::kByThemselves);
        co_await Forever(*here);
        break;
      case Doing::kRoaming:
        while (VirtualThread::Current().carrier() == level.owner_carrier) co_await Yield();
        ++level.elsewhere;
        here->Make();
        // A real carrier takes others' threads only when it has none of its own.
        while (!place_.simulated && !departed_) co_await Sleep(kRest);
        for (;;) co_await Yield();
      case Doing::kComputing:
        if (!Computes(level, index)) {
          co_await Forever(*here);
          break;
        }
        EXPECT_NE(VirtualThread::Current().carrier(), level.owner_carrier);
        level.elsewhere = 1;
        while (!CancelRequested()) std::this_thread::yield();
        if (level.number % 2 == 1) co_return;
        co_await Yield();
        break;
      case Doing::kWaitingForEvent:
        co_await Forever(*here);
        break;
    }
    went_on_ = true;
  }

  static Task<void> WaitForEvent(Introduction& here) {
    const Counted local;
    co_await Forever(here);
  }

  // The listener never accepts: the connection waits in its backlog, and says nothing.
  Task<void> Read(Introduction& here) {
    absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
    EXPECT_TRUE(listener.ok()) << listener.status();
    if (!listener.ok()) co_return;
    absl::StatusOr<net::TcpStream> stream = co_await net::TcpStream::Connect(*listener->local_address());
    EXPECT_TRUE(stream.ok()) << stream.status();
    if (!stream.ok()) co_return;
    here.Make();
    char buffer[16];
    (void)co_await stream->Read(absl::MakeSpan(buffer));
  }

  // ---- The stranger, and who waits for it.

  // Virtual time, and with it a timeout, stands still while a thread can run; so do, in a simulation of several
  // carriers, the completions of one that is parked. A real carrier that is kept busy steals nothing.
  bool StrangerRests() const {
    if (!place_.simulated) return !departed_;
    return target_ == kNever && (way_.timed || IoOf(doing_).has_value());
  }

  Task<void> Stranger() {
    while (!done_) {
      if (++turns_ >= target_) reached_.Set();
      if (StrangerRests()) {
        co_await Sleep(place_.simulated ? kSimulatedRest : kRest);
      } else {
        co_await Yield();
      }
    }
  }

  Task<void> UntilTheStrangerHasRun(Introduction& here) {
    here.Make();
    while (!CancelRequested()) {
      co_await Shield(way_.timed ? SleepFor(absl::Milliseconds(1)) : YieldOnce());
    }
    co_await Shield(MoreTurns());
    went_on_ = true;
    co_await Yield();
    ADD_FAILURE() << "a thread that is asked to end goes on beyond its shield";
  }
  // Woken by what was set for a run of too short a time, it waits again.
  Task<void> MoreTurns() {
    const int64_t enough = turns_ + kStrangerTurns;
    target_ = enough;
    while (turns_ < enough) {
      co_await reached_.Wait();
      reached_.Reset();
    }
  }
  static Task<void> SleepFor(absl::Duration duration) { co_await Sleep(duration); }
  static Task<void> YieldOnce() { co_await Yield(); }

  const Place place_;
  const Way& way_;
  const Doing doing_;
  const Nest nest_;
  const int children_;
  const bool held_up_;

  uint64_t owner_ = 0;
  std::unique_ptr<Signals> signals_;
  Event departure_;
  std::atomic<bool> departed_{false};
  std::atomic<bool> went_on_{false};

  std::atomic<bool> done_{false};
  std::atomic<int64_t> turns_{0};  // of the stranger
  std::atomic<int64_t> target_{kNever};
  Event reached_;

  // ---- In a simulation.
  bool leaving_ = false;
  std::array<Dying, kMaxDepth> scopes_;  // the innermost first
  int64_t mounts_ = 0;
  int64_t owner_mounts_ = 0;
};

namespace {

// ---- The ways that need no exceptions.

void ComeBack() {}

Task<void> Plainly(ExitRun& run) { co_await run.Enter(); }

// If the time is up before all is ready, it was too short: also a way out, of scopes that are half filled.
Task<void> WithinTime(ExitRun& run) {
  for (absl::Duration time = run.simulated() ? kSimulatedTimeout : kFirstTimeout; !run.departed(); time *= 2) {
    const absl::Status status = co_await WithTimeout(time, run.Enter());
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  }
}

Task<void> WithinScope(ExitRun& run) {
  AwaitAll scope;
  scope.Fork([&run] { return run.Enter(); });
  co_await run.AwaitDeparture();
  run.AllDie();
  scope.Shutdown();
  (co_await scope.Join()).IgnoreFailures();
}

int RoundsAt(const Place& place) { return place.simulated ? kSeeds : kRounds; }

struct Plan {
  Doing doing;
  std::vector<Nest> nests;
  int children = kChildren;
  bool held_up = false;
  int rounds;
};

void RunAll(const Exit& exit, const Plan& plan) {
  const auto [place, way] = exit;
  Counted::bad = 0;
  const std::optional<IoBackend> io = IoOf(plan.doing);
  std::unique_ptr<Runtime> runtime;
  if (!place.simulated) {
    absl::StatusOr<std::unique_ptr<Runtime>> made =
        Runtime::Create({.parallelism = place.carriers, .io = io.value_or(IoBackend::kAuto)});
    ASSERT_TRUE(made.ok()) << made.status();
    runtime = *std::move(made);
  }
  for (const Nest& nest : plan.nests) {
    SCOPED_TRACE(absl::StrCat(nest.depth, " deep, ", NestingName(nest.nesting)));
    for (int round = 1; round <= plan.rounds; ++round) {
      SCOPED_TRACE(absl::StrCat(place.simulated ? "seed " : "round ", round));
      ExitRun run(place, *way, plan.doing, nest, plan.children, plan.held_up);
      if (place.simulated) {
        Simulation simulation(
            {.carriers = place.carriers, .seed = static_cast<uint64_t>(round), .io = io, .observer = &run});
        simulation.Run(run.Whole());
        run.CheckMounts();
        run.CheckPins(simulation.runtime().Stats().pins);
      } else {
        const int64_t pins = runtime->Stats().pins;
        runtime->Run(run.Whole());
        run.CheckPins(runtime->Stats().pins - pins);
      }
      ASSERT_EQ(Counted::bad, 0);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace

const Way kByReturn = {"Return", &ComeBack, &Plainly};
const Way kByTimeout = {"Timeout", nullptr, &WithinTime, /*timed=*/true};
const Way kByShutdown = {"Shutdown", nullptr, &WithinScope};

Task<void> EnterScopes(ExitRun& run) { return run.Enter(); }

std::ostream& operator<<(std::ostream& out, const Exit& exit) { return out << exit.way->name << exit.place; }
std::ostream& operator<<(std::ostream& out, const ExitCase& one) { return out << DoingName(one.doing) << one.exit; }

std::vector<Exit> Exits(const std::vector<const Way*>& ways) {
  std::vector<Exit> exits;
  for (const Place& place : kPlaces) {
    for (const Way* way : ways) exits.push_back({place, way});
  }
  return exits;
}

std::vector<ExitCase> ExitCases(const std::vector<const Way*>& ways) {
  std::vector<ExitCase> cases;
  for (const Exit& exit : Exits(ways)) {
    for (const Doing doing : kDoings) {
      if (IsThere(exit.place, *exit.way, doing)) cases.push_back({exit, doing});
    }
  }
  return cases;
}

void LeaveInEveryNest(const ExitCase& one) {
  RunAll(one.exit, {.doing = one.doing, .nests = Nests(*one.exit.way, one.doing), .rounds = RoundsAt(one.exit.place)});
}

void LeaveWhileAStrangerRuns(const Exit& exit) {
  constexpr Doing kOthers = Doing::kWaitingForEvent;
  RunAll(exit, {.doing = kOthers, .nests = Nests(*exit.way, kOthers), .held_up = true, .rounds = RoundsAt(exit.place)});
}

void LeaveMany(const Exit& exit, int children) {
  for (const Doing doing : {Doing::kWaitingForEvent, Doing::kJoining, Doing::kYielding}) {
    if (!IsThere(exit.place, *exit.way, doing)) continue;
    SCOPED_TRACE(DoingName(doing));
    RunAll(exit, {.doing = doing, .nests = {{Nesting::kInFrames, 1}}, .children = children, .rounds = 1});
    // There nothing is counted, and one kind says as much as three.
    if (!exit.place.simulated) return;
  }
}

}  // namespace weft::testing
