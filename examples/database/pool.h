// Connections that are kept open, and used by one caller at a time.
//
//   database::Pool pool([] { return database::PostgresConnection::Open("host=/run/postgresql"); }, 4);
//   absl::StatusOr<database::Lease> lease = co_await pool.Acquire();
//   if (!lease.ok()) co_return lease.status();
//   absl::StatusOr<database::Rows> rows = co_await (*lease)->Query("SELECT 1");
#ifndef WEFT_EXAMPLES_DATABASE_POOL_H_
#define WEFT_EXAMPLES_DATABASE_POOL_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "examples/database/connection.h"
#include "weft/weft.h"

namespace database {

class Pool;

// A connection in use. Its destructor gives it back, or closes it if it is not reusable.
class Lease {
 public:
  Lease(Lease&&) = default;
  Lease& operator=(Lease&&) = delete;
  ~Lease();

  Connection& operator*() const { return *connection_; }
  Connection* operator->() const { return connection_.get(); }

 private:
  friend class Pool;
  Lease(Pool& pool, weft::Permit permit, std::unique_ptr<Connection> connection)
      : pool_(pool), permit_(std::move(permit)), connection_(std::move(connection)) {}

  Pool& pool_;
  weft::Permit permit_;
  std::unique_ptr<Connection> connection_;  // null: moved from
};

// Outlives its leases.
class Pool {
 public:
  // Opens `max_connections` at most, which must be positive, and each of them when it is first needed.
  Pool(Opener open, int64_t max_connections);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Waits until a connection is free; callers are served in their order. One that has broken meanwhile is replaced.
  // Returns the error of opening one, if that fails. Cancellation: a checkpoint; what it has opened is closed.
  weft::Task<absl::StatusOr<Lease>> Acquire();

  // How many connections it has ever opened.
  int64_t opened() const;

 private:
  friend class Lease;
  std::unique_ptr<Connection> TakeIdle();
  void GiveBack(std::unique_ptr<Connection> connection);

  const Opener open_;
  weft::Semaphore permits_;  // one for each connection in use
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_; the last used is the first reused
  int64_t opened_ = 0;                             // guarded by mutex_
};

}  // namespace database

#endif  // WEFT_EXAMPLES_DATABASE_POOL_H_
