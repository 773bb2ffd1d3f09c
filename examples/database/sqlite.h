// SQLite: a database in a file, or in memory, without a server.
//
// Its functions block: they read files, and wait for locks of other connections. So each query is a call of
// weft::Blocking. It asks now and then whether it was cancelled, and ends then. sqlite3_interrupt() would do the same
// from outside, but may also hit the next query.
#ifndef WEFT_EXAMPLES_DATABASE_SQLITE_H_
#define WEFT_EXAMPLES_DATABASE_SQLITE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "examples/database/connection.h"
#include "weft/weft.h"

struct sqlite3;

namespace database {

class SqliteConnection : public Connection {
 public:
  // `path` is a file, which is made if it is not there, or ":memory:", a database of the connection's own, which goes
  // with it: use it with a pool of one. A query waits for 5 s at most for the locks of other connections, and then is
  // kAborted.
  static weft::Task<absl::StatusOr<std::unique_ptr<Connection>>> Open(std::string path);

  using Connection::Query;
  weft::Task<absl::StatusOr<Rows>> Query(std::string sql, std::vector<std::string> parameters) override;
  TransactionState transaction() const override;
  bool reusable() const override { return transaction() == TransactionState::kNone; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  using Handle = std::unique_ptr<sqlite3, Close>;

  explicit SqliteConnection(Handle handle) : handle_(std::move(handle)) {}

  static absl::StatusOr<Handle> OpenBlocking(const std::string& path);
  absl::StatusOr<Rows> QueryBlocking(const std::string& sql, const std::vector<std::string>& parameters);

  Handle handle_;
};

}  // namespace database

#endif  // WEFT_EXAMPLES_DATABASE_SQLITE_H_
