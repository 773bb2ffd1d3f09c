// A transaction: all of what its body does, or nothing.
//
//   absl::Status done = co_await database::Transact(pool, [&](database::Connection& connection) -> Task<absl::Status> {
//     absl::StatusOr<database::Rows> taken = co_await connection.Query("UPDATE ...", {"ann"});
//     co_return taken.status();
//   });
#ifndef WEFT_EXAMPLES_DATABASE_TRANSACTION_H_
#define WEFT_EXAMPLES_DATABASE_TRANSACTION_H_

#include <functional>

#include "absl/status/status.h"
#include "examples/database/connection.h"
#include "examples/database/pool.h"
#include "weft/weft.h"

namespace database {

using TransactionBody = std::function<weft::Task<absl::Status>(Connection& connection)>;

// Takes a connection of the pool, begins, calls `body`, and commits if that returns OK. Returns the status of what has
// failed first. kAborted: the body has returned OK although one of its statements had failed, so nothing is committed.
//
// A body that fails, throws or is cancelled is rolled back before the connection goes back to the pool; a connection on
// which that fails is closed, which rolls back as well. Cancellation: a checkpoint, until the body has ended. A commit
// that was begun is waited for, so that the caller knows its outcome, but for 5 s at most after a request to cancel.
weft::Task<absl::Status> Transact(Pool& pool, TransactionBody body);

}  // namespace database

#endif  // WEFT_EXAMPLES_DATABASE_TRANSACTION_H_
