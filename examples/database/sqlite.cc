#include "examples/database/sqlite.h"

#include <sqlite3.h>

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/blocking.h"
#include "weft/time.h"

namespace database {
namespace {

constexpr int kInstructionsBetweenLooks = 10'000;  // of SQLite's virtual machine: well below 1 ms
constexpr int kLockPatienceMs = 5'000;

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

absl::StatusCode CodeOf(int error) {
  switch (error & 0xff) {  // the rest says more of the same
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
      return absl::StatusCode::kInvalidArgument;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kAborted;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kCancelled;
    case SQLITE_CONSTRAINT:
      return error == SQLITE_CONSTRAINT_UNIQUE || error == SQLITE_CONSTRAINT_PRIMARYKEY
                 ? absl::StatusCode::kAlreadyExists
                 : absl::StatusCode::kFailedPrecondition;
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_NOMEM:
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kUnknown;
  }
}

absl::Status ErrorOf(sqlite3* handle) {
  return absl::Status(CodeOf(sqlite3_extended_errcode(handle)), sqlite3_errmsg(handle));
}

// Called on the OS thread of the query: by SQLite's virtual machine, and when another connection has the lock.
int StopIfCancelled(void*) { return weft::CancelRequested() ? 1 : 0; }

int WaitForLock(void*, int times) {
  if (weft::CancelRequested() || times >= kLockPatienceMs) return 0;
  sqlite3_sleep(1);
  return 1;
}

// Names, not numbers: to SQLite, "$1" is a name.
absl::Status Bind(sqlite3* handle, sqlite3_stmt* statement, const std::vector<std::string>& parameters) {
  if (static_cast<size_t>(sqlite3_bind_parameter_count(statement)) != parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the statement has ", sqlite3_bind_parameter_count(statement),
                                                   " parameters, and ", parameters.size(), " were passed"));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int index = sqlite3_bind_parameter_index(statement, absl::StrCat("$", i + 1).c_str());
    if (index == 0) return absl::InvalidArgumentError(absl::StrCat("the statement has no $", i + 1));
    // No destructor: the text outlives the statement.
    if (sqlite3_bind_text64(statement, index, parameters[i].data(), parameters[i].size(), nullptr, SQLITE_UTF8) !=
        SQLITE_OK) {
      return ErrorOf(handle);
    }
  }
  return absl::OkStatus();
}

std::optional<std::string> Value(sqlite3_stmt* statement, int column) {
  const unsigned char* text = sqlite3_column_text(statement, column);
  if (text == nullptr) return std::nullopt;
  return std::string(text, text + sqlite3_column_bytes(statement, column));
}

bool HasMore(std::string_view rest) { return rest.find_first_not_of(" \t\r\n;") != std::string_view::npos; }

}  // namespace

void SqliteConnection::Close::operator()(sqlite3* handle) const { sqlite3_close(handle); }

weft::Task<absl::StatusOr<std::unique_ptr<Connection>>> SqliteConnection::Open(std::string path) {
  absl::StatusOr<Handle> handle = co_await weft::Blocking([&] { return OpenBlocking(path); });
  if (!handle.ok()) co_return handle.status();
  co_return std::unique_ptr<Connection>(new SqliteConnection(*std::move(handle)));
}

absl::StatusOr<SqliteConnection::Handle> SqliteConnection::OpenBlocking(const std::string& path) {
  sqlite3* opened = nullptr;
  // No lock of SQLite's: one OS thread at a time uses the connection.
  const int error = sqlite3_open_v2(path.c_str(), &opened,
                                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle handle(opened);  // also after an error
  if (error != SQLITE_OK) return absl::Status(CodeOf(error), absl::StrCat(sqlite3_errstr(error), ": ", path));
  sqlite3_progress_handler(opened, kInstructionsBetweenLooks, &StopIfCancelled, nullptr);
  sqlite3_busy_handler(opened, &WaitForLock, nullptr);
  return handle;
}

weft::Task<absl::StatusOr<Rows>> SqliteConnection::Query(std::string sql, std::vector<std::string> parameters) {
  absl::StatusOr<Rows> rows = co_await weft::Blocking([&] { return QueryBlocking(sql, parameters); });
  // A call that has begun gives its result, also when it has ended because it was cancelled: that goes on from here.
  if (absl::IsCancelled(rows.status())) co_await weft::Yield();
  co_return rows;
}

TransactionState SqliteConnection::transaction() const {
  // A statement that fails does not fail its transaction here, or has rolled it back already.
  return sqlite3_get_autocommit(handle_.get()) != 0 ? TransactionState::kNone : TransactionState::kOpen;
}

absl::StatusOr<Rows> SqliteConnection::QueryBlocking(const std::string& sql,
                                                     const std::vector<std::string>& parameters) {
  sqlite3* const handle = handle_.get();
  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int error = sqlite3_prepare_v2(handle, sql.c_str(), -1, &prepared, &rest);
  const Statement statement(prepared);
  if (error != SQLITE_OK) return ErrorOf(handle);
  if (prepared == nullptr || HasMore(rest)) return absl::InvalidArgumentError("a query is one statement");
  if (absl::Status bound = Bind(handle, prepared, parameters); !bound.ok()) return bound;

  Rows rows;
  const int columns = sqlite3_column_count(prepared);
  for (int i = 0; i < columns; ++i) rows.columns.emplace_back(sqlite3_column_name(prepared, i));
  while (true) {
    const int step = sqlite3_step(prepared);
    if (step == SQLITE_DONE) return rows;
    if (step != SQLITE_ROW) return ErrorOf(handle);
    auto& row = rows.values.emplace_back();
    for (int i = 0; i < columns; ++i) row.push_back(Value(prepared, i));
  }
}

}  // namespace database
