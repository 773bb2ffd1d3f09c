// A connection to a database, of whichever kind.
//
//   absl::StatusOr<database::Rows> rows =
//       co_await connection.Query("SELECT balance FROM accounts WHERE name = $1", {"ann"});
//   if (rows.ok() && !rows->values.empty()) Show(rows->values[0][0]);
#ifndef WEFT_EXAMPLES_DATABASE_CONNECTION_H_
#define WEFT_EXAMPLES_DATABASE_CONNECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/weft.h"

namespace database {

struct Rows {
  std::vector<std::string> columns{};                             // their names
  std::vector<std::vector<std::optional<std::string>>> values{};  // as text, row by row; nothing: NULL
};

enum class TransactionState {
  kNone,
  kOpen,
  kFailed,  // a statement has failed: it can only be rolled back
};

class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  // Runs one statement. Its $1, $2, ... are the parameters, which are text. One query at a time.
  //
  // Errors: kInvalidArgument for what is wrong in the statement; kAlreadyExists, kFailedPrecondition for what the data
  // do not allow; kAborted for a conflict with another transaction; kUnavailable if the database cannot be reached.
  //
  // Cancellation: a checkpoint. The database is asked to stop as well. When the wait has ended, so has the statement,
  // and the connection can be used again, or else is not reusable().
  virtual weft::Task<absl::StatusOr<Rows>> Query(std::string sql, std::vector<std::string> parameters) = 0;
  weft::Task<absl::StatusOr<Rows>> Query(std::string sql) { return Query(std::move(sql), {}); }

  virtual TransactionState transaction() const = 0;
  // Whether another caller may have it: it works, and has neither a transaction nor an answer that nobody has read.
  virtual bool reusable() const = 0;
};

using Opener = std::function<weft::Task<absl::StatusOr<std::unique_ptr<Connection>>>()>;

}  // namespace database

#endif  // WEFT_EXAMPLES_DATABASE_CONNECTION_H_
