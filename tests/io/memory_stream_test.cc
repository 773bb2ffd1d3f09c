// Goal: the two ends of a MemoryStream behave like those of a connection: every byte arrives once and in order, ends
// and errors are those of a socket, and nothing is lost when anything is cancelled. Method: the same bodies in
// simulations and on real carriers; and cancelled at every occasion.
#include "weft/io/memory_stream.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/cancel/cancel_at.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/closed.h"
#include "weft/io/split.h"
#include "weft/io/stream.h"
#include "weft/net/tcp_stream.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

using io::MemoryStream;

static_assert(io::Reader<MemoryStream> && io::VectoredWriter<MemoryStream> && io::Splittable<MemoryStream>);

class MemoryStreamTest : public OnBoth {};
WEFT_ON_BOTH(MemoryStreamTest);

constexpr size_t kCapacities[] = {0, 1, 3, 64 << 10};

char ByteAt(size_t i) { return static_cast<char>((i * 2'654'435'761u) >> 13); }

// Writes so many bytes in pieces of any size, and then no more.
Task<absl::Status> WriteAll(MemoryStream& stream, size_t count, unsigned seed) {
  std::minstd_rand random(seed);
  for (size_t at = 0; at < count;) {
    std::string piece(std::min<size_t>(count - at, random() % 20), ' ');
    for (char& byte : piece) byte = ByteAt(at++);
    if (absl::Status sent = co_await stream.Write(piece); !sent.ok()) co_return sent;
  }
  co_return stream.ShutdownWrite();
}

Task<absl::StatusOr<size_t>> ReadAll(MemoryStream& stream, unsigned seed) {
  std::minstd_rand random(seed);
  size_t at = 0;
  while (true) {
    char buffer[20];
    const absl::StatusOr<size_t> got = co_await stream.Read(MutableBuffer(buffer, 1 + random() % 20));
    if (!got.ok() || *got == 0) co_return got.ok() ? absl::StatusOr<size_t>(at) : got;
    for (size_t i = 0; i < *got; ++i) EXPECT_EQ(buffer[i], ByteAt(at + i));
    at += *got;
  }
}

TEST_P(MemoryStreamTest, EveryByteArrivesOnceAndInOrderBothWays) {
  for (const size_t capacity : kCapacities) {
    Everywhere([capacity]() -> Task<void> {
      auto [a, b] = MemoryStream::Pair({.capacity = capacity});
      auto done = co_await All(WriteAll(a, 500, 1), WriteAll(b, 700, 2), ReadAll(a, 3), ReadAll(b, 4));
      EXPECT_TRUE(done.ok()) << done.status();
      if (!done.ok()) co_return;
      EXPECT_EQ(std::get<2>(*done), 700u);
      EXPECT_EQ(std::get<3>(*done), 500u);
    });
  }
}

TEST_P(MemoryStreamTest, AWriteOfMoreThanTheCapacityWaitsForReads) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair({.capacity = 4});
    EXPECT_TRUE((co_await a.Write("1234")).ok());
    bool written = false;
    Introduction writer;
    AwaitAll scope;
    scope.Fork([&, &a = a]() -> Task<void> {
      writer.Make();
      EXPECT_TRUE((co_await a.Write("567")).ok());
      written = true;
    });
    co_await writer.AwaitParked();
    EXPECT_FALSE(written);
    char seven[7];
    EXPECT_EQ(*co_await b.Read(seven), 7u) << "the buffer's, and those of the writer that waits";
    EXPECT_EQ(std::string_view(seven, 7), "1234567");
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(written);
  });
}

TEST_P(MemoryStreamTest, SeveralBuffersAreOneWrite) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair();
    const ConstBuffer parts[] = {"one", "", "two"};
    EXPECT_TRUE((co_await a.Write(parts)).ok());
    EXPECT_TRUE((co_await a.Write(std::span<const ConstBuffer>())).ok());
    EXPECT_TRUE((co_await a.Write({})).ok());
    char buffer[10];
    EXPECT_EQ(*co_await b.Read(buffer), 6u);
    EXPECT_EQ(std::string_view(buffer, 6), "onetwo");
  });
}

TEST_P(MemoryStreamTest, NothingIsWrittenAndNothingIsReadAtOnce) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair({.capacity = 0});
    EXPECT_TRUE((co_await a.Write("")).ok());
    EXPECT_EQ(*co_await b.Read(MutableBuffer()), 0u);
  });
}

// ---- Ends and errors.

TEST_P(MemoryStreamTest, AfterAShutdownThePeerReadsTheRestAndMayStillAnswer) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair();
    EXPECT_TRUE((co_await a.Write("last words")).ok());
    EXPECT_TRUE(a.ShutdownWrite().ok());
    EXPECT_TRUE(a.ShutdownWrite().ok()) << "again";
    EXPECT_TRUE(a.is_open());
    EXPECT_EQ(ErrnoOf(co_await a.Write("more")), EPIPE);
    char buffer[20];
    EXPECT_EQ(*co_await b.Read(buffer), 10u);
    EXPECT_EQ(*co_await b.Read(buffer), 0u);
    EXPECT_EQ(*co_await b.Read(buffer), 0u);
    EXPECT_TRUE((co_await b.Write("answer")).ok());
    EXPECT_EQ(*co_await a.Read(buffer), 6u);
  });
}

TEST_P(MemoryStreamTest, AfterAClosePeersAndOwnCallsSeeWhatASocketsDo) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair();
    EXPECT_TRUE((co_await a.Write("last words")).ok());
    EXPECT_TRUE((co_await b.Write("nobody reads this")).ok());
    a.Close();
    a.Close();
    EXPECT_FALSE(a.is_open());
    EXPECT_TRUE(b.is_open());
    char buffer[20];
    EXPECT_EQ(ErrnoOf((co_await a.Read(buffer)).status()), EBADF);
    EXPECT_TRUE(io::IsClosed(co_await a.Write("x")));
    EXPECT_EQ(ErrnoOf(a.ShutdownWrite()), EBADF);
    EXPECT_EQ(*co_await b.Read(buffer), 10u);
    EXPECT_EQ(*co_await b.Read(buffer), 0u);
    EXPECT_EQ(ErrnoOf(co_await b.Write("x")), EPIPE);
    EXPECT_TRUE(b.ShutdownWrite().ok());
  });
}

// Those who wait for the hang-up are woken by the first half of the close, which takes it a while.
TEST(MemoryStreamAloneTest, AStreamThatSaysItIsClosedReadsNothingMore) {
  constexpr int kRounds = 20;
  constexpr int kWaiters = 2000;
  const auto runtime = *Runtime::Create({.parallelism = 1});
  for (int round = 0; round < kRounds; ++round) {
    runtime->Run([]() -> Task<void> {
      auto [a, b] = MemoryStream::Pair();
      EXPECT_TRUE((co_await b.Write("nobody reads this")).ok());
      AwaitAll scope;
      for (int i = 0; i < kWaiters; ++i) scope.Fork(b.WaitHangUp());
      co_await Yield();
      std::thread closer([&a = a] { a.Close(); });
      while (a.is_open()) {
      }
      char buffer[4];
      EXPECT_TRUE(io::IsClosed((co_await a.Read(buffer)).status()));
      closer.join();
      EXPECT_TRUE((co_await scope.Join()).ok());
    }());
  }
}

TEST_P(MemoryStreamTest, ReadExactlyFillsTheBufferOrSaysHowTheStreamEnded) {
  for (const size_t capacity : kCapacities) {
    Everywhere([capacity]() -> Task<void> {
      auto [a, b] = MemoryStream::Pair({.capacity = capacity});
      AwaitAll scope;
      scope.Fork([&a = a]() -> Task<void> {
        for (const char* piece : {"one", "two", "th"}) EXPECT_TRUE((co_await a.Write(piece)).ok());
        EXPECT_TRUE(a.ShutdownWrite().ok());
      });
      char six[6];
      EXPECT_TRUE((co_await b.ReadExactly({})).ok());
      EXPECT_TRUE((co_await b.ReadExactly(six)).ok());
      EXPECT_EQ(std::string_view(six, 6), "onetwo");
      const absl::Status in_the_middle = co_await b.ReadExactly(six);
      EXPECT_EQ(in_the_middle.code(), absl::StatusCode::kOutOfRange) << in_the_middle;
      EXPECT_FALSE(io::IsEndOfStream(in_the_middle));
      EXPECT_TRUE(io::IsEndOfStream(co_await b.ReadExactly(six)));
      EXPECT_TRUE((co_await b.ReadExactly({})).ok());
      b.Close();
      EXPECT_TRUE(io::IsClosed(co_await b.ReadExactly(six)));
      (co_await scope.Join()).IgnoreFailures();
    });
  }
}

// As for a TcpStream: tests/net/tcp_test.cc.
TEST_P(MemoryStreamTest, AHangUpEndsTheWaitForIt) {
  for (const bool closes : {true, false}) {
    Everywhere([closes]() -> Task<void> {
      auto [client, server] = MemoryStream::Pair();
      Introduction waiter;
      std::atomic<bool> hung_up = false;
      AwaitAll scope;
      scope.Fork([&, &server = server]() -> Task<void> {
        waiter.Make();
        EXPECT_TRUE((co_await server.WaitHangUp()).ok());
        hung_up = true;
      });
      co_await waiter.AwaitParked();
      EXPECT_TRUE((co_await client.Write("request")).ok());
      EXPECT_TRUE((co_await client.Write(", more")).ok());
      char buffer[16];
      EXPECT_EQ(*co_await server.Read(MutableBuffer(buffer).first(7)), 7u);
      EXPECT_FALSE(hung_up);
      if (closes) {
        client.Close();
      } else {
        EXPECT_TRUE(client.ShutdownWrite().ok());
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_TRUE(hung_up);
      EXPECT_TRUE((co_await server.WaitHangUp()).ok()) << "it still is";
      EXPECT_EQ(*co_await server.Read(buffer), 6u) << "and has read nothing";
    });
  }
}

TEST_P(MemoryStreamTest, AWaitForAHangUpEndsWhenThisEndGoesOrItIsCancelled) {
  Everywhere([]() -> Task<void> {
    for (const bool closes : {true, false}) {
      auto [client, first] = MemoryStream::Pair();
      std::optional<MemoryStream> server(std::move(first));
      EXPECT_FALSE((co_await StopOnceItWaits(server->WaitHangUp())).ok());
      AwaitAll scope;
      Introduction waiter;
      scope.Fork([&]() -> Task<void> {
        waiter.Make();
        EXPECT_TRUE(io::IsClosed(co_await server->WaitHangUp()));
      });
      co_await waiter.AwaitParked();
      if (closes) {
        server->Close();
      } else {
        server.reset();
      }
      (co_await scope.Join()).IgnoreFailures();
      if (closes) EXPECT_TRUE(io::IsClosed(co_await server->WaitHangUp()));
    }
  });
}

TEST_P(MemoryStreamTest, AShutdownEndsBothDirections) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair({.capacity = 4});
    EXPECT_TRUE((co_await b.Write("left")).ok());
    AwaitAll scope;
    Introduction threads[2];
    scope.Fork([&, &a = a]() -> Task<void> {
      threads[0].Make();
      EXPECT_EQ(ErrnoOf(co_await a.Write("never read")), EPIPE);
    });
    scope.Fork([&, &b = b]() -> Task<void> {
      threads[1].Make();
      EXPECT_EQ(ErrnoOf(co_await b.Write("never read")), EPIPE);
    });
    for (Introduction& thread : threads) co_await thread.AwaitParked();
    a.Shutdown();
    a.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(a.is_open());
    EXPECT_TRUE((co_await a.WaitHangUp()).ok());
    EXPECT_TRUE((co_await b.WaitHangUp()).ok());
    char buffer[8];
    EXPECT_EQ(*co_await a.Read(buffer), 4u);
    EXPECT_EQ(*co_await b.Read(buffer), 4u) << "of the write that waited";
    for (MemoryStream* end : {&a, &b}) {
      EXPECT_EQ(*co_await end->Read(buffer), 0u);
      EXPECT_EQ(ErrnoOf(co_await end->Write("x")), EPIPE);
    }
    EXPECT_TRUE(a.ShutdownWrite().ok());
    a.Close();
    EXPECT_EQ(ErrnoOf((co_await a.Read(buffer)).status()), EBADF);
    a.Shutdown();
    EXPECT_EQ(ErrnoOf(co_await a.WaitHangUp()), EBADF);
  });
}

TEST_P(MemoryStreamTest, AShutdownEndsAReadThatWaits) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair();
    AwaitAll scope;
    Introduction readers[2];
    for (auto& [stream, reader] : {std::pair(&a, &readers[0]), std::pair(&b, &readers[1])}) {
      scope.Fork([stream = stream, reader = reader]() -> Task<void> {
        char buffer[4];
        reader->Make();
        EXPECT_EQ(*co_await stream->Read(buffer), 0u);
      });
      co_await reader->AwaitParked();
    }
    a.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

// A handler that is a template over its stream runs with either.
template <class Stream>
concept StreamOfAHandler = io::Reader<Stream> && io::VectoredWriter<Stream> && io::Splittable<Stream> &&
                           std::movable<Stream> && requires(Stream& stream, MutableBuffer buffer) {
                             { stream.ReadExactly(buffer) } -> std::same_as<Task<absl::Status>>;
                             { stream.WaitHangUp() } -> std::same_as<Task<absl::Status>>;
                             { stream.Shutdown() } noexcept -> std::same_as<void>;
                             { stream.Close() } noexcept -> std::same_as<void>;
                             { stream.is_open() } noexcept -> std::same_as<bool>;
                           };
static_assert(StreamOfAHandler<MemoryStream> && StreamOfAHandler<net::TcpStream>);

// How one end may go while operations of both ends wait: four ways.
enum class Way { kClose, kDestroy, kAssign, kShutdown };

TEST_P(MemoryStreamTest, OperationsThatWaitEndWhenAnEndGoes) {
  for (const Way way : {Way::kClose, Way::kDestroy, Way::kAssign, Way::kShutdown}) {
    Everywhere([way]() -> Task<void> {
      // `a` goes. It writes, and waits in vain; so does b, in the other pair.
      auto [first, b] = MemoryStream::Pair({.capacity = 0});
      std::optional<MemoryStream> a(std::move(first));
      absl::Status own_write, peers_write;
      absl::StatusOr<size_t> own_read, peers_read;
      Introduction threads[2];
      {
        // Own operations.
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          threads[0].Make();
          own_write = co_await a->Write("never read");
        });
        scope.Fork([&]() -> Task<void> {
          char buffer[4];
          threads[1].Make();
          own_read = co_await a->Read(buffer);
        });
        for (Introduction& thread : threads) co_await thread.AwaitParked();
        switch (way) {
          case Way::kClose: a->Close(); break;
          case Way::kDestroy: a.reset(); break;
          case Way::kAssign: *a = MemoryStream::Pair().first; break;
          case Way::kShutdown:
            EXPECT_TRUE(a->ShutdownWrite().ok());
            b.Close();
            break;
        }
        (co_await scope.Join()).IgnoreFailures();
      }
      EXPECT_EQ(ErrnoOf(own_write), way == Way::kShutdown ? EPIPE : EBADF);
      if (way == Way::kShutdown) {
        EXPECT_EQ(*own_read, 0u);
      } else {
        EXPECT_EQ(ErrnoOf(own_read.status()), EBADF);
      }
    });
    Everywhere([way]() -> Task<void> {
      auto [first, b] = MemoryStream::Pair({.capacity = 0});
      std::optional<MemoryStream> a(std::move(first));
      absl::Status write;
      absl::StatusOr<size_t> read;
      Introduction threads[2];
      AwaitAll scope;
      scope.Fork([&, &b = b]() -> Task<void> {
        threads[0].Make();
        write = co_await b.Write("never read");
      });
      scope.Fork([&, &b = b]() -> Task<void> {
        char buffer[4];
        threads[1].Make();
        read = co_await b.Read(buffer);
      });
      for (Introduction& thread : threads) co_await thread.AwaitParked();
      switch (way) {
        case Way::kClose: a->Close(); break;
        case Way::kDestroy: a.reset(); break;
        case Way::kAssign: *a = MemoryStream::Pair().first; break;
        case Way::kShutdown: {
          EXPECT_TRUE(a->ShutdownWrite().ok());
          char buffer[20];
          EXPECT_EQ(*co_await a->Read(buffer), 10u);
        } break;
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(ErrnoOf(write), way == Way::kShutdown ? 0 : EPIPE);
      EXPECT_EQ(*read, 0u);
    });
  }
}

TEST_P(MemoryStreamTest, AStreamIsMovedWhileItsReadWaits) {
  Everywhere([]() -> Task<void> {
    auto [a, first] = MemoryStream::Pair();
    std::optional<MemoryStream> b(std::move(first));
    Introduction reader;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      char buffer[4];
      reader.Make();
      EXPECT_EQ(*co_await b->Read(buffer), 2u);
    });
    co_await reader.AwaitParked();
    MemoryStream moved(*std::move(b));
    b.reset();
    EXPECT_TRUE((co_await a.Write("hi")).ok());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE((co_await moved.Write("ho")).ok());
    char buffer[4];
    EXPECT_EQ(*co_await a.Read(buffer), 2u);
  });
}

TEST(MemoryStreamAloneTest, ItNeedsNoFrameAndASimulationNamesItsWaits) {
  Simulation([]() -> SimulationOptions { return {}; }()).Run([]() -> Task<void> {
    auto [a, b] = MemoryStream::Pair();
    char buffer[4];
    const internal::ScopedFrameFault count({.times = 0});
    EXPECT_TRUE((co_await a.Write("text")).ok());
    EXPECT_EQ(*co_await b.Read(buffer), 4u);
    EXPECT_EQ(count.allocations(), 0);
  }());
  std::string report;
  Simulation simulation({.on_deadlock = [&report](const std::string& text) { report = text; }});
  EXPECT_EQ(simulation.TryRun([]() -> Task<void> {
              auto [a, b] = MemoryStream::Pair({.capacity = 0});
              AwaitAll scope;
              scope.Fork([&a = a]() -> Task<void> {
                char buffer[4];
                EXPECT_FALSE((co_await a.Read(buffer)).ok());
              });
              EXPECT_FALSE((co_await a.Write("x")).ok());
            }()).code(),
            absl::StatusCode::kCancelled);
  EXPECT_NE(report.find("waiting in Read at " __FILE__), std::string::npos) << report;
  EXPECT_NE(report.find("waiting in Write at " __FILE__), std::string::npos) << report;
}

TEST(MemoryStreamDeathTest, AStreamThatWasMovedFromIsACheck) {
  std::pair<MemoryStream, MemoryStream> pair = MemoryStream::Pair();
  const MemoryStream moved(std::move(pair.first));
  EXPECT_FALSE(pair.first.is_open());
  EXPECT_DEATH(static_cast<void>(pair.first.ShutdownWrite()), "a MemoryStream is used that was moved from");
}

// The runtime ends while threads wait.
TEST(MemoryStreamAloneTest, TheEndOfARuntimeEndsItsWaits) {
  for (int round = 0; round < 10; ++round) {
    auto runtime = *Runtime::Create({.parallelism = 2});
    runtime->Run([]() -> Task<void> {
      Introduction introduction;
      VirtualThread::Start([&introduction]() -> Task<void> {
        auto [a, b] = MemoryStream::Pair();
        char buffer[4];
        introduction.Make();
        EXPECT_FALSE((co_await a.Read(buffer)).ok()) << "it is cancelled";
      });
      co_await introduction.AwaitParked();
    }());
  }
}

// ---- Cancellation.

// What was read is kept, and what was not is still there for the next.
TEST(MemoryStreamCancelTest, ACancelledReadHasTakenNothing) {
  for (const size_t capacity : kCapacities) {
    for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
      for (int carriers = 1; carriers <= 2; ++carriers) {
        bool requested = true;
        for (int n = 0; requested && !HasFailure(); ++n) {
          SCOPED_TRACE(absl::StrCat("cancelled at ", n, ", capacity ", capacity, ", carriers ", carriers));
          const std::string text = "some text that is read in pieces";
          std::string got;
          requested = RunCancelledAt<void>(
              occasion, n, {.carriers = carriers, .seed = 1 + static_cast<uint64_t>(n)},
              [&]() -> Task<void> {
                // The pair lives in a thread that is not cancelled before the reader has ended.
                auto [a, b] = MemoryStream::Pair({.capacity = capacity});
                co_await Shield([&, &a = a, &b = b]() -> Task<void> {
                  AwaitAll scope;
                  scope.Fork([&]() -> Task<void> {
                    for (size_t at = 0; at < text.size(); at += 5) {
                      const std::string piece = text.substr(at, 5);
                      EXPECT_TRUE((co_await a.Write(piece)).ok());
                    }
                    EXPECT_TRUE(a.ShutdownWrite().ok());
                  });
                  auto read = [&b, &got]() -> Task<void> {
                    char buffer[3];
                    while (const size_t count = *co_await b.Read(buffer)) got.append(buffer, count);
                  };
                  ShutdownOnFailure readers;
                  Introduction reader;
                  readers.Fork([&]() -> Task<void> {
                    reader.Make();
                    co_await read();
                  });
                  for (int i = 0; i < n % 7; ++i) co_await Yield();
                  readers.Shutdown("the test");
                  (co_await readers.Join()).IgnoreFailures();
                  co_await read();
                  (co_await scope.Join()).IgnoreFailures();
                }());
              },
              [](Subtask<void>&) {});
          EXPECT_EQ(got, text);
        }
      }
    }
  }
}

// Cancelled itself, anywhere: the rest is read by another thread.
TEST(MemoryStreamCancelTest, AReaderThatIsCancelledAnywhereLosesNothing) {
  for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
    bool requested = true;
    for (int n = 0; requested && !HasFailure(); ++n) {
      SCOPED_TRACE(absl::StrCat("cancelled at ", n));
      const std::string text = "one\ntwo\nthree\nfour\nfive\nsix\n";
      std::string got;
      CancelAt cancel(occasion, n);
      Simulation simulation({.carriers = 2, .seed = 1 + static_cast<uint64_t>(n), .observer = &cancel});
      simulation.Run([](CancelAt& at, std::string whole, std::string& lines) -> Task<void> {
        auto [a, b] = MemoryStream::Pair({.capacity = 2});
        io::BufferedReader in(b, {.buffer_size = 4});
        AwaitAll writers;
        writers.Fork([&a = a, &whole]() -> Task<void> {
          EXPECT_TRUE((co_await a.Write(whole)).ok());
          a.Close();
        });
        auto read = [&]() -> Task<void> {
          while (true) {
            const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
            if (!line.ok()) break;
            absl::StrAppend(&lines, std::string(*line), "\n");
          }
        };
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          struct Ended {
            CancelAt& at;
            ~Ended() { at.End(); }
          } ended{at};
          at.Begin();
          co_await read();
        });
        (co_await scope.Join()).IgnoreFailures();
        co_await read();
        (co_await writers.Join()).IgnoreFailures();
      }(cancel, text, got));
      EXPECT_EQ(got, text);
      requested = cancel.requested();
    }
  }
}

// A writer that is cancelled anywhere has sent a beginning, and what its writes said was sent is in it.
TEST(MemoryStreamCancelTest, AWriterThatIsCancelledAnywhereHasSentABeginning) {
  for (const size_t capacity : kCapacities) {
    for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
      bool requested = true;
      for (int n = 0; requested && !HasFailure(); ++n) {
        SCOPED_TRACE(absl::StrCat("cancelled at ", n, ", capacity ", capacity));
        CancelAt cancel(occasion, n);
        Simulation simulation({.carriers = 2, .seed = 1 + static_cast<uint64_t>(n), .observer = &cancel});
        simulation.Run([](CancelAt& at, size_t room) -> Task<void> {
          const std::string text = "0123456789abcdefghij";
          auto [a, b] = MemoryStream::Pair({.capacity = room});
          size_t sent = 0;
          std::string got;
          AwaitAll scope;
          scope.Fork([&, &a = a]() -> Task<void> {
            struct Ended {
              CancelAt& at;
              MemoryStream& stream;
              ~Ended() {
                at.End();
                stream.Close();
              }
            } ended{at, a};
            at.Begin();
            for (; sent < text.size(); sent += 5) {
              const std::string piece = text.substr(sent, 5);
              EXPECT_TRUE((co_await a.Write(piece)).ok());
            }
          });
          char buffer[3];
          while (const size_t count = *co_await b.Read(buffer)) got.append(buffer, count);
          (co_await scope.Join()).IgnoreFailures();
          EXPECT_EQ(got, text.substr(0, got.size()));
          EXPECT_GE(got.size(), sent);
        }(cancel, capacity));
        requested = cancel.requested();
      }
    }
  }
}

// ---- Halves.

TEST_P(MemoryStreamTest, TwoThreadsOwnTheHalvesOfAStream) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = MemoryStream::Pair({.capacity = 5});
    AwaitAll scope;
    {
      auto [reader, writer] = io::Split(std::move(server));
      static_assert(io::Reader<decltype(reader)> && !io::Writer<decltype(reader)>);
      static_assert(io::VectoredWriter<decltype(writer)> && io::HalfCloser<decltype(writer)>);
      EXPECT_EQ(&reader.stream(), &writer.stream());
      scope.Fork([half = std::move(reader)]() mutable -> Task<void> {
        io::BufferedReader in(half);
        EXPECT_EQ(*co_await in.ReadAll(), "a question");
      });
      scope.Fork([half = std::move(writer)]() mutable -> Task<void> {
        // A part of it alone would do; the end comes when the half goes.
        const io::WriteHalf<MemoryStream> own(std::move(half));
        EXPECT_TRUE((co_await own.stream().Write("something else")).ok());
      });
    }
    auto [sent, heard] = co_await All(
        [](MemoryStream& stream) -> Task<bool> {
          const bool ok = (co_await stream.Write("a question")).ok();
          co_return stream.ShutdownWrite().ok() && ok;
        }(client),
        [](MemoryStream& stream) -> Task<std::string> {
          io::BufferedReader in(stream);
          co_return *co_await in.ReadAll();
        }(client));
    EXPECT_TRUE(sent);
    EXPECT_EQ(heard, "something else");
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(MemoryStreamTest, TheStreamGoesWithTheSecondHalf) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = MemoryStream::Pair();
    char buffer[8];
    {
      std::optional<io::ReadHalf<MemoryStream>> reader;
      {
        auto [first, writer] = io::Split(std::move(server));
        reader.emplace(std::move(first));
        const ConstBuffer parts[] = {"a", "b"};
        EXPECT_TRUE((co_await writer.Write(parts)).ok());
        EXPECT_TRUE((co_await writer.Write("c")).ok());
        io::WriteHalf<MemoryStream> other = std::move(writer);
        EXPECT_TRUE((co_await other.Write("d")).ok());
        EXPECT_TRUE((co_await client.Write("still read")).ok());
      }
      EXPECT_EQ(*co_await client.Read(buffer), 4u);
      EXPECT_EQ(*co_await client.Read(buffer), 0u) << "the writing direction has ended";
      EXPECT_EQ(*co_await reader->Read(buffer), 8u);
      EXPECT_TRUE((co_await client.Write("open")).ok());
    }
    EXPECT_EQ(ErrnoOf(co_await client.Write("gone")), EPIPE);
  });
}

// A stream whose ShutdownWrite() is awaited.
class AwaitedHalfClose {
 public:
  explicit AwaitedHalfClose(MemoryStream stream) : stream_(std::move(stream)) {}
  auto Read(MutableBuffer buffer) { return stream_.Read(buffer); }
  auto Write(ConstBuffer data) { return stream_.Write(data); }
  Task<absl::Status> ShutdownWrite() {
    co_await Yield();
    co_return stream_.ShutdownWrite();
  }

 private:
  MemoryStream stream_;
};

TEST_P(MemoryStreamTest, AHalfOfAStreamWhoseShutdownIsAwaitedEndsTheDirectionIfItIsAskedTo) {
  Everywhere([]() -> Task<void> {
    for (const bool asked : {true, false}) {
      auto [client, server] = MemoryStream::Pair();
      Introduction peer;
      std::string heard;
      AwaitAll scope;
      {
        auto [reader, writer] = io::Split(AwaitedHalfClose(std::move(server)));
        static_assert(io::Writer<decltype(writer)> && io::HalfCloser<decltype(writer)>);
        EXPECT_TRUE((co_await writer.Write("all")).ok());
        if (asked) {
          EXPECT_TRUE((co_await writer.ShutdownWrite()).ok());
        } else {
          io::WriteHalf<AwaitedHalfClose> gone = std::move(writer);
        }
        scope.Fork([&, &client = client]() -> Task<void> {
          peer.Make();
          io::BufferedReader in(client);
          heard = *co_await in.ReadAll();
        });
        if (asked) {
          (co_await scope.Join()).IgnoreFailures();
          EXPECT_EQ(heard, "all");
        } else {
          co_await peer.AwaitParked();  // it waits for more
        }
        EXPECT_TRUE((co_await client.Write("still read")).ok());
        char buffer[16];
        EXPECT_EQ(*co_await reader.Read(buffer), 10u);
      }
      if (!asked) (co_await scope.Join()).IgnoreFailures();
      EXPECT_EQ(heard, "all");
    }
  });
}

// ---- A protocol: what is read line by line is answered in the order of the lines.

template <class Stream>
Task<absl::Status> Serve(Stream stream) {
  io::BufferedReader in(stream);
  io::BufferedWriter out(stream);
  while (true) {
    const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
    if (!line.ok()) co_return io::IsEndOfStream(line.status()) ? co_await out.Flush() : line.status();
    if (absl::Status s = co_await out.Write(absl::StrCat("re: ", std::string(*line), "\n")); !s.ok()) co_return s;
    if (in.buffered() == 0) {
      if (absl::Status s = co_await out.Flush(); !s.ok()) co_return s;
    }
  }
}

TEST_P(MemoryStreamTest, AServerOfLinesAnswersEachLine) {
  for (const size_t capacity : kCapacities) {
    Everywhere([capacity]() -> Task<void> {
      auto [client, server] = MemoryStream::Pair({.capacity = capacity});
      AwaitAll scope;
      auto served = scope.Fork(Serve(std::move(server)));
      scope.Fork([&client = client]() -> Task<void> {
        for (int i = 0; i < 50; ++i) EXPECT_TRUE((co_await client.Write(absl::StrCat("line ", i, "\r\n"))).ok());
        EXPECT_TRUE(client.ShutdownWrite().ok());
      });
      io::BufferedReader in(client);
      for (int i = 0; i < 50; ++i) {
        const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
        EXPECT_TRUE(line.ok() && *line == absl::StrCat("re: line ", i)) << line.status();
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_TRUE(served.status().ok()) << served.status();
    });
  }
}

}  // namespace
}  // namespace weft::testing
