#include "examples/database/transaction.h"

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace database {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(5);

weft::Task<absl::Status> Attempt(Connection& connection, const TransactionBody& body) {
  if (absl::Status begun = (co_await connection.Query("BEGIN")).status(); !begun.ok()) co_return begun;
  if (absl::Status done = co_await body(connection); !done.ok()) co_return done;
  if (connection.transaction() != TransactionState::kOpen) {
    co_return absl::AbortedError("a statement of the transaction has failed, so it is rolled back");
  }
  co_return (co_await weft::Shield(kGrace, connection.Query("COMMIT"))).status();
}

weft::Task<void> RollBack(Connection& connection) {
  if (connection.transaction() == TransactionState::kNone) co_return;
  // If it fails, the connection still has its transaction, and is not reusable.
  co_await weft::MoveOnAfter(kGrace, connection.Query("ROLLBACK"));
}

}  // namespace

weft::Task<absl::Status> Transact(Pool& pool, TransactionBody body) {
  absl::StatusOr<Lease> lease = co_await pool.Acquire();
  if (!lease.ok()) co_return lease.status();
  Connection& connection = **lease;
  co_return co_await weft::Finally(Attempt(connection, body), [&] { return RollBack(connection); });
}

}  // namespace database
