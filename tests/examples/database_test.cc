// The databases of the examples. Goal: what the headers promise of a pool that is shared, of queries and transactions
// that fail or are cancelled, and of a server that goes. Method: the same sentences on a real PostgreSQL server, which
// the test starts, and on SQLite, on each I/O backend; then what is PostgreSQL's own.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/database/connection.h"
#include "examples/database/pool.h"
#include "examples/database/postgres.h"
#include "examples/database/sqlite.h"
#include "examples/database/transaction.h"
#include "tests/examples/postgres_cluster.h"
#include "weft/weft.h"

namespace database {
namespace {

using weft::Task;

constexpr absl::Duration kGuard = absl::Seconds(60);  // a test that waits for ever ends with this
constexpr absl::Duration kSoon = absl::Milliseconds(50);

enum class Kind { kPostgres, kSqlite };

struct Place {
  Kind kind;
  weft::IoBackend io;

  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << (place.kind == Kind::kPostgres ? "Postgres" : "Sqlite")
               << (place.io == weft::IoBackend::kUring ? "IoUring" : "Epoll");
  }
};

Task<std::string> Ask(Connection& connection, std::string sql, std::vector<std::string> parameters = {}) {
  absl::StatusOr<Rows> rows = co_await connection.Query(std::move(sql), std::move(parameters));
  if (!rows.ok()) co_return rows.status().ToString();
  if (rows->values.empty()) co_return "no row";
  co_return rows->values[0][0].value_or("NULL");
}

Task<std::string> Ask(Pool& pool, std::string sql, std::vector<std::string> parameters = {}) {
  absl::StatusOr<Lease> lease = co_await pool.Acquire();
  if (!lease.ok()) co_return lease.status().ToString();
  co_return co_await Ask(**lease, std::move(sql), std::move(parameters));
}

Task<absl::Status> Do(Pool& pool, std::string sql) {
  absl::StatusOr<Lease> lease = co_await pool.Acquire();
  if (!lease.ok()) co_return lease.status();
  co_return (co_await (*lease)->Query(std::move(sql))).status();
}

// One for all tests: to make its data takes seconds. Each test starts its server, on its own runtime.
PostgresCluster& Cluster() {
  static PostgresCluster cluster;
  return cluster;
}

class DatabaseTest : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (GetParam().kind == Kind::kPostgres && !PostgresCluster::IsInstalled()) {
      GTEST_SKIP() << "PostgreSQL's server is not installed (Debian's postgresql-15)";
    }
  }

  void WithPool(int64_t connections, std::function<Task<void>(Pool& pool)> body) {
    auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam().io});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    const absl::Status done = (*runtime)->Run(Serve(connections, body));
    EXPECT_TRUE(done.ok()) << done;
  }

  // A statement that takes longer than any test.
  static std::string Endless() {
    return GetParam().kind == Kind::kPostgres
               ? "SELECT pg_sleep(3600)"
               : "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  }

 private:
  static Task<absl::Status> Serve(int64_t connections, const std::function<Task<void>(Pool& pool)>& body) {
    if (GetParam().kind == Kind::kPostgres) {
      absl::Status done = co_await Cluster().Start();
      if (!done.ok()) co_return done;
      done = co_await Use([] { return PostgresConnection::Open(Cluster().conninfo()); }, connections, body);
      const absl::Status stopped = co_await Cluster().Stop();
      co_return done.ok() ? stopped : done;
    }
    const std::string file = absl::StrCat(testing::TempDir(), "/database_test.sqlite");
    std::filesystem::remove(file);
    co_return co_await Use([&] { return SqliteConnection::Open(file); }, connections, body);
  }

  static Task<absl::Status> Use(Opener open, int64_t connections, const std::function<Task<void>(Pool& pool)>& body) {
    Pool pool(std::move(open), connections);
    if (absl::Status s = co_await Do(pool, "DROP TABLE IF EXISTS notes"); !s.ok()) co_return s;
    if (absl::Status s = co_await Do(pool, "CREATE TABLE notes (id integer PRIMARY KEY)"); !s.ok()) co_return s;
    co_return co_await weft::WithTimeout(kGuard, body(pool));
  }
};

TEST_P(DatabaseTest, FiftyThreadsShareFourConnections) {
  WithPool(4, [](Pool& pool) -> Task<void> {
    weft::ShutdownOnFailure scope;
    for (int i = 0; i < 50; ++i) {
      scope.Fork([&pool, i]() -> Task<void> {
        for (int k = 0; k < 4; ++k) {
          const std::string mine = absl::StrCat(i, "/", k);
          EXPECT_EQ(co_await Ask(pool, "SELECT $1", {mine}), mine);
        }
      });
    }
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_LE(pool.opened(), 4);
  });
}

TEST_P(DatabaseTest, RowsHaveNamesAndNulls) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    absl::StatusOr<Lease> lease = co_await pool.Acquire();
    if (!lease.ok()) co_return ADD_FAILURE() << lease.status(), void();
    absl::StatusOr<Rows> rows =
        co_await (*lease)->Query("SELECT 1 AS one, NULL AS two UNION ALL SELECT 2, 'x' ORDER BY 1");
    if (!rows.ok()) co_return ADD_FAILURE() << rows.status(), void();
    EXPECT_EQ(rows->columns, (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(rows->values, (std::vector<std::vector<std::optional<std::string>>>{{"1", std::nullopt}, {"2", "x"}}));
  });
}

TEST_P(DatabaseTest, ErrorsHaveTheirCodes) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    EXPECT_EQ((co_await Do(pool, "SELEKT")).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ((co_await Do(pool, "SELECT 1; SELECT 2")).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE((co_await Do(pool, "INSERT INTO notes VALUES (1)")).ok());
    EXPECT_EQ((co_await Do(pool, "INSERT INTO notes VALUES (1)")).code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(DatabaseTest, ATransactionIsCommitted) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const absl::Status done = co_await Transact(pool, [](Connection& connection) -> Task<absl::Status> {
      co_return (co_await connection.Query("INSERT INTO notes VALUES (1)")).status();
    });
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(co_await Ask(pool, "SELECT count(*) FROM notes"), "1");
  });
}

TEST_P(DatabaseTest, ATransactionThatFailsIsRolledBackAndItsConnectionServesTheNext) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const absl::Status done = co_await Transact(pool, [](Connection& connection) -> Task<absl::Status> {
      EXPECT_TRUE((co_await connection.Query("INSERT INTO notes VALUES (1)")).ok());
      co_return absl::OutOfRangeError("too far");
    });
    EXPECT_EQ(done, absl::OutOfRangeError("too far"));
    EXPECT_EQ(co_await Ask(pool, "SELECT count(*) FROM notes"), "0");
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(DatabaseTest, ATransactionThatIsCancelledBetweenQueriesIsRolledBack) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    weft::Event inserted;
    weft::ShutdownOnFailure scope;
    scope.Fork(Transact(pool, [&](Connection& connection) -> Task<absl::Status> {
      EXPECT_TRUE((co_await connection.Query("INSERT INTO notes VALUES (1)")).ok());
      inserted.Set();
      co_await weft::Sleep(absl::Hours(1));
      co_return absl::OkStatus();
    }));
    co_await inserted.Wait();
    scope.Shutdown();
    EXPECT_TRUE((co_await scope.Join()).ok());  // a shutdown of its own is no failure
    EXPECT_EQ(co_await Ask(pool, "SELECT count(*) FROM notes"), "0");
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(DatabaseTest, ATransactionThatIsCancelledInAQueryIsRolledBack) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const absl::Status done =
        co_await weft::WithTimeout(kSoon, Transact(pool, [](Connection& connection) -> Task<absl::Status> {
                                     EXPECT_TRUE((co_await connection.Query("INSERT INTO notes VALUES (1)")).ok());
                                     co_return (co_await connection.Query(Endless())).status();
                                   }));
    EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(co_await Ask(pool, "SELECT count(*) FROM notes"), "0");
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(DatabaseTest, ALongQueryThatIsCancelledEndsAndItsConnectionServesTheNext) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      const absl::Status done = co_await weft::WithTimeout(kSoon, Do(pool, Endless()));
      EXPECT_EQ(done.code(), absl::StatusCode::kDeadlineExceeded);
      EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"next"}), "next");
    }
    EXPECT_EQ(pool.opened(), 1);
  });
}

// Wherever in a query its cancellation comes.
TEST_P(DatabaseTest, NoQueryHasTheAnswerOfAnother) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    for (int i = 0; i < 60; ++i) {
      const std::string mine = absl::StrCat(i);
      const auto answer = co_await weft::MoveOnAfter(absl::Microseconds(20 * i), Ask(pool, "SELECT $1", {mine}));
      EXPECT_EQ(answer.value_or(mine), mine);
    }
    EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"last"}), "last");
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(DatabaseTest, AConnectionWithAnOpenTransactionIsNotGivenToAnother) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    EXPECT_TRUE((co_await Do(pool, "BEGIN")).ok());
    EXPECT_TRUE((co_await Transact(pool, [](Connection&) -> Task<absl::Status> { co_return absl::OkStatus(); })).ok());
    EXPECT_EQ(pool.opened(), 2);
  });
}

INSTANTIATE_TEST_SUITE_P(Everywhere, DatabaseTest,
                         testing::Values(Place{Kind::kPostgres, weft::IoBackend::kUring},
                                         Place{Kind::kPostgres, weft::IoBackend::kEpoll},
                                         Place{Kind::kSqlite, weft::IoBackend::kUring},
                                         Place{Kind::kSqlite, weft::IoBackend::kEpoll}),
                         testing::PrintToStringParamName());

class PostgresTest : public DatabaseTest {};

TEST_P(PostgresTest, ATransactionWithAFailedStatementIsNotCommitted) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const absl::Status done = co_await Transact(pool, [](Connection& connection) -> Task<absl::Status> {
      EXPECT_TRUE((co_await connection.Query("INSERT INTO notes VALUES (1)")).ok());
      EXPECT_FALSE((co_await connection.Query("SELECT 1 / 0")).ok());
      co_return absl::OkStatus();
    });
    EXPECT_EQ(done.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(co_await Ask(pool, "SELECT count(*) FROM notes"), "0");
    EXPECT_EQ(pool.opened(), 1);
  });
}

// More than a socket takes at once, in both directions.
TEST_P(PostgresTest, ALongParameterComesBackWhole) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const std::string text(8 << 20, 'x');
    EXPECT_TRUE(co_await Ask(pool, "SELECT $1", {text}) == text);
    for (int ms = 1; ms < 20; ms += 3) {
      const auto answer = co_await weft::MoveOnAfter(absl::Milliseconds(ms), Ask(pool, "SELECT $1", {text}));
      EXPECT_TRUE(answer.value_or(text) == text);
    }
    EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"last"}), "last");
    EXPECT_EQ(pool.opened(), 1);
  });
}

TEST_P(PostgresTest, WhatPostgresCannotTakeIsRefused) {
  WithPool(1, [](Pool& pool) -> Task<void> {
    const std::string text("a\0b", 3);
    EXPECT_NE((co_await Ask(pool, "SELECT $1", {text})).find("INVALID_ARGUMENT"), std::string::npos);
    EXPECT_EQ(pool.opened(), 1);
    EXPECT_EQ((co_await Do(pool, "COPY notes FROM STDIN")).code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"next"}), "next");
    EXPECT_EQ(pool.opened(), 2);  // the other speaks another protocol now
  });
}

TEST_P(PostgresTest, AServerThatGoesIsUnavailableAndThePoolRecovers) {
  WithPool(2, [](Pool& pool) -> Task<void> {
    absl::StatusOr<Lease> busy = co_await pool.Acquire();
    EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"idle"}), "idle");  // on the other connection
    EXPECT_EQ(pool.opened(), 2);
    if (!busy.ok()) co_return ADD_FAILURE() << busy.status(), void();
    weft::ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<void> {
      Lease mine = *std::move(busy);
      const absl::Status lost = (co_await mine->Query("SELECT pg_sleep(3600)")).status();
      EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
      EXPECT_FALSE(mine->reusable());
    });
    while (co_await Ask(pool, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)' AND state = "
                              "'active'") != "1") {
    }
    EXPECT_TRUE((co_await Cluster().Stop()).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
    const absl::Status refused = co_await Do(pool, "SELECT 1");
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
    const absl::Status started = co_await Cluster().Start();
    EXPECT_TRUE(started.ok()) << started;
    EXPECT_EQ(co_await Ask(pool, "SELECT $1", {"again"}), "again");
    EXPECT_EQ(pool.opened(), 3);
  });
}

INSTANTIATE_TEST_SUITE_P(Everywhere, PostgresTest,
                         testing::Values(Place{Kind::kPostgres, weft::IoBackend::kUring},
                                         Place{Kind::kPostgres, weft::IoBackend::kEpoll}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace database
