// PostgreSQL, by libpq's calls that do not block.
//
// libpq reads and writes its socket itself; the virtual thread only waits until it can (weft/io/readiness.h), so that
// any number of queries under way hold no carrier.
#ifndef WEFT_EXAMPLES_DATABASE_POSTGRES_H_
#define WEFT_EXAMPLES_DATABASE_POSTGRES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/database/connection.h"
#include "weft/weft.h"

struct pg_conn;
struct pg_result;

namespace database {

class PostgresConnection : public Connection {
 public:
  // `conninfo` is libpq's: "host=/run/postgresql dbname=shop", or a URI. Its connect_timeout does not count here; use
  // WithTimeout(). libpq looks the first host's name up on an OS thread that may block; of further ones it would block
  // the carrier, so give those as hostaddr. Cancellation: a checkpoint; what was opened is closed.
  static weft::Task<absl::StatusOr<std::unique_ptr<Connection>>> Open(std::string conninfo);

  // A query that is cancelled sends a request to cancel by a connection of its own (PQcancel), and reads what is left
  // of the answer. If that has not come after 5 s, the connection is not reusable. PQcancel blocks, on an OS thread,
  // and cannot be broken off: if a host answers nothing, the query ends when the system gives the host up.
  using Connection::Query;
  weft::Task<absl::StatusOr<Rows>> Query(std::string sql, std::vector<std::string> parameters) override;
  TransactionState transaction() const override;
  bool reusable() const override;

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };
  struct Clear {
    void operator()(pg_result* result) const;
  };
  using Handle = std::unique_ptr<pg_conn, Finish>;
  using Result = std::unique_ptr<pg_result, Clear>;

  explicit PostgresConnection(Handle handle) : handle_(std::move(handle)) {}

  weft::Task<absl::Status> Connect();
  weft::Task<absl::StatusOr<Rows>> Exchange(const std::string& sql, const std::vector<std::string>& parameters);
  weft::Task<absl::Status> Flush();
  weft::Task<absl::StatusOr<Result>> NextResult();
  weft::Task<absl::StatusOr<Rows>> ReadAnswer();
  bool is_busy() const;
  weft::Task<void> Settle();
  weft::Task<absl::Status> Interrupt();
  absl::StatusOr<Rows> RowsOf(const pg_result* result);
  absl::Status Error() const;

  Handle handle_;
  bool broken_ = false;  // beside what libpq knows: its answer was not read to the end
};

}  // namespace database

#endif  // WEFT_EXAMPLES_DATABASE_POSTGRES_H_
