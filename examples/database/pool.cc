#include "examples/database/pool.h"

#include <cstddef>

namespace database {

Lease::~Lease() {
  if (connection_ != nullptr) pool_.GiveBack(std::move(connection_));
}

Pool::Pool(Opener open, int64_t max_connections) : open_(std::move(open)), permits_(max_connections) {
  idle_.reserve(static_cast<size_t>(max_connections));  // a lease ends in a destructor, which must not fail
}

weft::Task<absl::StatusOr<Lease>> Pool::Acquire() {
  weft::Permit permit = co_await permits_.Acquire();
  if (std::unique_ptr<Connection> idle = TakeIdle()) co_return Lease(*this, std::move(permit), std::move(idle));
  absl::StatusOr<std::unique_ptr<Connection>> connection = co_await open_();
  if (!connection.ok()) co_return connection.status();
  {
    std::lock_guard lock(mutex_);
    ++opened_;
  }
  co_return Lease(*this, std::move(permit), *std::move(connection));
}

int64_t Pool::opened() const {
  std::lock_guard lock(mutex_);
  return opened_;
}

// Those that have broken are closed after the lock is given back.
std::unique_ptr<Connection> Pool::TakeIdle() {
  while (true) {
    std::unique_ptr<Connection> connection;
    {
      std::lock_guard lock(mutex_);
      if (idle_.empty()) return nullptr;
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
    if (connection->reusable()) return connection;
  }
}

void Pool::GiveBack(std::unique_ptr<Connection> connection) {
  if (!connection->reusable()) return;
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
}

}  // namespace database
