"""What is to be reached, as rows of the tables of results.

Times are in multiples of the floor F (see benchmarks/measure.h): ratios count, not absolute times.
"""
import collections

# The floor of the machine on which the targets were set, and what is measured `elsewhere` was measured, quiet.
FLOOR_NANOS = 4.7


def floors(nanos, operations=1):
    return nanos / operations / FLOOR_NANOS


_SKYNET, _QUEENS, _LEAVES = 1_111_111, 27_358_553, 262_144

# `targets`: {carriers: floors}. `elsewhere`: {carriers: (who, nanoseconds)}, the best that is in no package registry,
# measured once on this class of machine. `operations` is there where people talk of the whole, in milliseconds.
TimeRow = collections.namedtuple("TimeRow", "title name targets elsewhere operations", defaults=({}, {}, None))

TIME = [
    TimeRow("fib(30), a call, `All` of two", "FibAll", {1: 1.7, 2: 1.0}, {1: ("libfork", 9.6), 2: ("libfork", 5.2)}),
    TimeRow("fib(30), a call, `Fork` in a scope", "FibFork"),
    TimeRow("skynet, 1M leaves", "Skynet", {1: floors(12e6, _SKYNET), 2: floors(7.5e6, _SKYNET)},
            {1: ("citor", 11.8e6 / _SKYNET), 2: ("libfork", 9.0e6 / _SKYNET)}, _SKYNET),
    TimeRow("nqueens(14)", "Nqueens", {2: floors(1900e6, _QUEENS)}, {2: ("libfork", 2013e6 / _QUEENS)}, _QUEENS),
    TimeRow("matmul(2048)", "Matmul", {2: floors(560e6, _LEAVES)}, {2: ("libfork", 564e6 / _LEAVES)}, _LEAVES),
    TimeRow("1M no-op children in one scope, a child", "ForkJoinMillion", {1: 3.4, 2: 5.3},
            {1: ("libfork", 17), 2: ("libfork", 29)}),
    TimeRow("1,000 no-op children, a child", "ForkJoin1000"),
    TimeRow("10 no-op children, a child", "ForkJoin10"),
    TimeRow("the outermost scoped value of 1, a look", "ScopedGet1"),
    TimeRow("the outermost scoped value of 10, a look", "ScopedGet10"),
    TimeRow("the outermost scoped value of 100, a look", "ScopedGet100"),
    TimeRow("from a new binding inside of 1, bind and look", "ScopedBindGet1"),
    TimeRow("from a new binding inside of 10, bind and look", "ScopedBindGet10"),
    TimeRow("from a new binding inside of 100, bind and look", "ScopedBindGet100"),
    TimeRow("an unbound scoped value under 1, a look", "ScopedMiss1"),
    TimeRow("an unbound scoped value under 10, a look", "ScopedMiss10"),
    TimeRow("an unbound scoped value under 100, a look", "ScopedMiss100"),
    TimeRow("yield", "Yield", {1: 2.1}, {1: ("TooManyCooks", 15)}),
    TimeRow("ping-pong through an event, a switch", "PingPong", {1: 6.4, 2: 17},
            {1: ("TooManyCooks", 45), 2: ("TooManyCooks", 261)}),
    TimeRow("a value through a channel of 64, one to one", "ChannelOneToOne", {2: floors(25)},
            {2: ("TooManyCooks", 36)}),
    TimeRow("the same, four to four", "ChannelFourToFour", {2: floors(45)}),
    TimeRow("a value through a rendezvous, one to one", "RendezvousOneToOne"),
    TimeRow("ping-pong through a rendezvous, a switch", "RendezvousPingPong"),
    TimeRow("a select that finds a value in one of two channels", "SelectOfTwo"),
    TimeRow("a select that finds a value in one of eight channels", "SelectOfEight"),
    TimeRow("a select that waits in two rendezvous", "SelectThatWaits"),
    TimeRow("lock and unlock a mutex, one thread", "Mutex1"),
    TimeRow("lock and unlock a mutex, 100 threads that begin with a free one", "FreeMutex100"),
    TimeRow("lock and unlock a mutex, 100 threads in a queue", "Mutex100"),
    TimeRow("lock and unlock a mutex, 10,000 threads in a queue", "Mutex10000"),
    TimeRow("lock and unlock a shared mutex, each tenth time to write, one thread", "SharedMutex1"),
    TimeRow("lock and unlock a shared mutex, each tenth time to write, 100 threads in a queue", "SharedMutex100"),
    TimeRow("lock and unlock a shared mutex, each tenth time to write, 10,000 threads in a queue", "SharedMutex10000"),
    TimeRow("acquire and release one of 4 permits, one thread", "Semaphore1"),
    TimeRow("acquire and release one of 4 permits, 100 threads in a queue", "Semaphore100"),
    TimeRow("acquire and release one of 4 permits, 10,000 threads in a queue", "Semaphore10000"),
    TimeRow("1,000 threads outside of scopes, started and joined, a thread", "StartJoin1000"),
    TimeRow("10 threads outside of scopes, started and joined, a thread", "StartJoin10"),
    TimeRow("ping-pong by park and unpark, a switch", "ParkUnpark"),
    TimeRow("the only thread-local, a look", "ThreadLocalGet1"),
    TimeRow("10 thread-locals in turn, a look", "ThreadLocalGet10"),
    TimeRow("a call on an OS thread that may block, there and back", "BlockingCall"),
    TimeRow("1,000 tasks submitted, and their values got, a task", "SubmitGet"),
    TimeRow("the same, of which 1,000 may run, a task", "SubmitGetBounded"),
    TimeRow("the same on as many OS threads, a task", "SubmitGetPool"),
    TimeRow("10,000 sleeps of 10 ms at once, all", "SleepVirtual", operations=10_000),
    TimeRow("1,000 sleeps of 10 ms on 200 OS threads, all", "SleepOsThreads", operations=1_000),
    TimeRow("cancel 100,000 parked and join, a child", "CancelParked", {1: floors(250), 2: floors(250)}),
]

# One of our measures against another one of ours, on as many carriers: `name` takes at most `limit` times as long as
# `other`, an operation of each.
RatioRow = collections.namedtuple("RatioRow", "title name other limit")

RATIOS = [
    RatioRow("ping-pong through a rendezvous, against through an event", "RendezvousPingPong", "PingPong", 1.2),
    RatioRow("ping-pong by park and unpark, against through an event", "ParkUnpark", "PingPong", None),
    RatioRow("1,000 threads started and joined, against forked and joined", "StartJoin1000", "ForkJoin1000", 1.5),
    RatioRow("10 threads started and joined, against forked and joined", "StartJoin10", "ForkJoin10", 1.5),
    RatioRow("99th percentile of waits: beside a call that holds a carrier, against beside nobody", "HeldByCall",
             "HeldByNobody", 2),
    RatioRow("the same, beside a thread that computes", "HeldByLoop", "HeldByNobody", 2),
    RatioRow("the same, beside an OS thread that computes, and holds no carrier", "HeldOutside", "HeldByNobody", None),
]

# Resident memory, at most `limit` in units of `divisor`.
MemoryRow = collections.namedtuple("MemoryRow", "title name counter limit divisor elsewhere")

MEMORY = [
    MemoryRow("parked, from a Task, 1M in one scope, bytes a thread", "ParkedTask", "bytes_per_thread", 192, 1,
              "TooManyCooks 129 and libcoro 145, bare tasks"),
    MemoryRow("parked, from a closure, 1M in one scope, bytes a thread", "ParkedClosure", "bytes_per_thread", 256, 1,
              ""),
    MemoryRow("10M parked at once, GB", "ParkedTenMillion", "rss_bytes", 2, 1e9, ""),
    MemoryRow("left of 100,000 parked, three times, after seconds of calm, MB", "ReturnedMemory", "rss_bytes", 2, 1e6,
              ""),
]

# Of two carriers, at most `limit` microseconds.
LatencyRow = collections.namedtuple("LatencyRow", "title name counter limit")

LATENCY = [
    LatencyRow("the first of 100 children of an owner that computes starts on the idle carrier", "StrandedLatency",
               "first_ns", 100),
    LatencyRow("the last of them", "StrandedLatency", "last_ns", 100),
    LatencyRow("the last of them, if the other carrier is busy", "StrandedAmongBusy", "last_ns", 10_000),
    LatencyRow("a thread woken on one carrier runs on another that was parked", "WakeParked", "ns_per_op", None),
]

# Four carriers on two processors may be so much slower than two; a build without exceptions, than one with.
OVERSUBSCRIBED_LIMIT = 1.2
CONFIGURATION_LIMIT = 1.05

# A result is made of at least so many rounds.
ROUNDS = 9
