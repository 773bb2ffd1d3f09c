// Accounts in a database: SQLite's, in memory, or PostgreSQL's, whose conninfo is the first argument.
//
//   ./bazelw run //examples:database_service -- "host=/run/postgresql dbname=shop"
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/database/connection.h"
#include "examples/database/pool.h"
#include "examples/database/postgres.h"
#include "examples/database/sqlite.h"
#include "examples/database/transaction.h"
#include "weft/weft.h"

namespace {

using database::Connection;
using database::Pool;
using database::Rows;
using weft::Task;

constexpr int kDeposits = 50;

Task<absl::Status> Set(Pool& pool) {
  absl::StatusOr<database::Lease> lease = co_await pool.Acquire();
  if (!lease.ok()) co_return lease.status();
  for (const char* statement : {"DROP TABLE IF EXISTS accounts",
                                "CREATE TABLE accounts (name text PRIMARY KEY, balance integer CHECK (balance >= 0))",
                                "INSERT INTO accounts VALUES ('ann', 0), ('ben', 0)"}) {
    if (absl::Status done = (co_await (*lease)->Query(statement)).status(); !done.ok()) co_return done;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Add(Connection& connection, std::string name, int amount) {
  co_return (co_await connection.Query("UPDATE accounts SET balance = balance + CAST($1 AS integer) WHERE name = $2",
                                       {absl::StrCat(amount), std::move(name)}))
      .status();
}

Task<absl::Status> Deposit(Pool& pool) {
  co_return co_await database::Transact(pool, [](Connection& connection) { return Add(connection, "ann", 1); });
}

//! [transact]
// Both, or none.
Task<absl::Status> Move(Pool& pool, int amount) {
  co_return co_await database::Transact(pool, [&](Connection& connection) -> Task<absl::Status> {
    if (absl::Status given = co_await Add(connection, "ben", amount); !given.ok()) co_return given;
    co_return co_await Add(connection, "ann", -amount);
  });
}
//! [transact]

// Gives, and never comes to the end.
Task<absl::Status> Hang(Pool& pool) {
  co_return co_await database::Transact(pool, [](Connection& connection) -> Task<absl::Status> {
    if (absl::Status given = co_await Add(connection, "ben", 1000); !given.ok()) co_return given;
    co_await weft::Sleep(absl::Hours(1));
    co_return absl::OkStatus();
  });
}

Task<absl::Status> Print(Pool& pool, const char* when) {
  absl::StatusOr<database::Lease> lease = co_await pool.Acquire();
  if (!lease.ok()) co_return lease.status();
  absl::StatusOr<Rows> rows = co_await (*lease)->Query("SELECT name, balance FROM accounts ORDER BY name");
  if (!rows.ok()) co_return rows.status();
  std::printf("%s:", when);
  for (const auto& row : rows->values) std::printf(" %s %s", row[0]->c_str(), row[1]->c_str());
  std::printf("\n");
  co_return absl::OkStatus();
}

Task<absl::Status> Work(Pool& pool) {
  if (absl::Status set = co_await Set(pool); !set.ok()) co_return set;
  weft::ShutdownOnFailure scope;
  for (int i = 0; i < kDeposits; ++i) scope.Fork(Deposit(pool));
  if (absl::Status deposited = co_await scope.Join(); !deposited.ok()) co_return deposited;
  if (absl::Status printed = co_await Print(pool, "50 deposits"); !printed.ok()) co_return printed;

  if (absl::Status moved = co_await Move(pool, 20); !moved.ok()) co_return moved;
  if (absl::Status printed = co_await Print(pool, "20 moved"); !printed.ok()) co_return printed;

  const absl::Status refused = co_await Move(pool, 100);
  std::printf("100 more: %s\n", absl::StatusCodeToString(refused.code()).c_str());
  if (absl::Status printed = co_await Print(pool, "nothing moved"); !printed.ok()) co_return printed;

  const absl::Status late = co_await weft::WithTimeout(absl::Milliseconds(100), Hang(pool));
  std::printf("one that hangs: %s\n", absl::StatusCodeToString(late.code()).c_str());
  co_return co_await Print(pool, "nothing moved");
}

Task<absl::Status> Main(std::string conninfo) {
  if (conninfo.empty()) {
    Pool pool([] { return database::SqliteConnection::Open(":memory:"); }, 1);
    co_return co_await Work(pool);
  }
  Pool pool([&] { return database::PostgresConnection::Open(conninfo); }, 4);
  co_return co_await Work(pool);
}

}  // namespace

int main(int argc, char** argv) { return weft::RunMain(Main(argc > 1 ? argv[1] : "")); }
