#include "examples/database/postgres.h"

#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "weft/blocking.h"
#include "weft/io/readiness.h"

namespace database {
namespace {

constexpr absl::Duration kSettleTime = absl::Seconds(5);
constexpr absl::Duration kBetweenRequests = absl::Milliseconds(200);

struct FreeCancel {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

void IgnoreNotice(void*, const PGresult*) {}

// The first two characters of a SQLSTATE are its class (PostgreSQL's manual, appendix A).
absl::StatusCode CodeOf(std::string_view sqlstate) {
  if (sqlstate == "57014") return absl::StatusCode::kCancelled;
  if (sqlstate == "23505") return absl::StatusCode::kAlreadyExists;
  const std::string_view kind = sqlstate.substr(0, 2);
  if (kind == "08" || kind == "57") return absl::StatusCode::kUnavailable;
  if (kind == "23" || kind == "25") return absl::StatusCode::kFailedPrecondition;
  if (kind == "22" || kind == "42") return absl::StatusCode::kInvalidArgument;
  if (kind == "40") return absl::StatusCode::kAborted;
  if (kind == "28") return absl::StatusCode::kPermissionDenied;
  if (kind == "53" || kind == "54") return absl::StatusCode::kResourceExhausted;
  return absl::StatusCode::kUnknown;
}

std::string Trim(const char* message) { return std::string(absl::StripTrailingAsciiWhitespace(message)); }

absl::Status ErrorOf(const PGresult* result) {
  const char* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  // libpq's own errors have no SQLSTATE: the connection is lost.
  if (sqlstate == nullptr) return absl::UnavailableError(Trim(PQresultErrorMessage(result)));
  return absl::Status(CodeOf(sqlstate),
                      absl::StrCat(Trim(PQresultErrorMessage(result)), " (SQLSTATE ", sqlstate, ")"));
}

// Nobody has asked for anything, so it is the end, or a farewell.
bool HasInput(int fd) {
  pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&ready, 1, /*timeout=*/0) != 0;
}

}  // namespace

void PostgresConnection::Finish::operator()(PGconn* connection) const { PQfinish(connection); }
void PostgresConnection::Clear::operator()(PGresult* result) const { PQclear(result); }

weft::Task<absl::StatusOr<std::unique_ptr<Connection>>> PostgresConnection::Open(std::string conninfo) {
  absl::StatusOr<Handle> handle = co_await weft::Blocking([&] { return Handle(PQconnectStart(conninfo.c_str())); });
  if (!handle.ok()) co_return handle.status();
  if (*handle == nullptr) co_return absl::ResourceExhaustedError("no memory for a connection to PostgreSQL");
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(*std::move(handle)));
  if (absl::Status connected = co_await connection->Connect(); !connected.ok()) co_return connected;
  co_return std::unique_ptr<Connection>(std::move(connection));
}

weft::Task<absl::Status> PostgresConnection::Connect() {
  PGconn* const connection = handle_.get();
  if (PQstatus(connection) == CONNECTION_BAD) co_return Error();
  PQsetNoticeReceiver(connection, &IgnoreNotice, nullptr);
  // As if the first poll had said that it wants to write. (libpq's manual, PQconnectPoll)
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection)) {
    if (next == PGRES_POLLING_FAILED) co_return Error();
    const int fd = PQsocket(connection);  // another one when it goes on to another host
    absl::Status ready = next == PGRES_POLLING_READING ? co_await weft::io::WaitReadable(fd)
                                                       : co_await weft::io::WaitWritable(fd);
    if (!ready.ok()) co_return ready;
  }
  if (PQsetnonblocking(connection, 1) != 0) co_return Error();
  co_return absl::OkStatus();
}

weft::Task<absl::StatusOr<Rows>> PostgresConnection::Query(std::string sql, std::vector<std::string> parameters) {
  if (broken_) co_return absl::UnavailableError("the connection to PostgreSQL is broken");
  co_return co_await weft::Finally(Exchange(sql, parameters), [this] { return Settle(); });
}

weft::Task<absl::StatusOr<Rows>> PostgresConnection::Exchange(const std::string& sql,
                                                              const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) {
    if (parameter.size() != std::strlen(parameter.c_str())) {
      co_return absl::InvalidArgumentError("a text of PostgreSQL has no zero byte");
    }
    values.push_back(parameter.c_str());
  }
  if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()), /*paramTypes=*/nullptr,
                        values.data(), /*paramLengths=*/nullptr, /*paramFormats=*/nullptr, /*resultFormat=*/0) == 0) {
    co_return Error();
  }
  if (absl::Status sent = co_await Flush(); !sent.ok()) co_return sent;
  co_return co_await ReadAnswer();
}

// The server may not read on before it can write, so this reads as well.
weft::Task<absl::Status> PostgresConnection::Flush() {
  while (true) {
    const int left = PQflush(handle_.get());
    if (left == 0) co_return absl::OkStatus();
    if (left < 0) co_return Error();
    const int fd = PQsocket(handle_.get());
    absl::Status ready = co_await weft::Race(weft::io::WaitReadable(fd), weft::io::WaitWritable(fd));
    if (!ready.ok()) co_return ready;
    if (PQconsumeInput(handle_.get()) == 0) co_return Error();
  }
}

// Null after the last one.
weft::Task<absl::StatusOr<PostgresConnection::Result>> PostgresConnection::NextResult() {
  while (PQisBusy(handle_.get()) != 0) {
    absl::Status ready = co_await weft::io::WaitReadable(PQsocket(handle_.get()));
    if (!ready.ok()) co_return ready;
    if (PQconsumeInput(handle_.get()) == 0) co_return Error();
  }
  co_return Result(PQgetResult(handle_.get()));
}

// Of a server that goes, the first error says why, and a later one only that it is gone.
weft::Task<absl::StatusOr<Rows>> PostgresConnection::ReadAnswer() {
  absl::StatusOr<Rows> rows = Rows();
  while (true) {
    absl::StatusOr<Result> result = co_await NextResult();
    if (!result.ok()) co_return rows.ok() ? result.status() : rows.status();
    if (*result == nullptr) co_return rows;
    if (rows.ok()) rows = RowsOf(result->get());
    if (broken_) co_return rows;
  }
}

absl::StatusOr<Rows> PostgresConnection::RowsOf(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
      return Rows();
    case PGRES_TUPLES_OK:
      break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      broken_ = true;  // the server now speaks another protocol
      return absl::UnimplementedError("COPY from or to the client");
    default:
      return ErrorOf(result);
  }
  Rows rows;
  const int columns = PQnfields(result);
  for (int i = 0; i < columns; ++i) rows.columns.emplace_back(PQfname(result, i));
  for (int r = 0; r < PQntuples(result); ++r) {
    auto& row = rows.values.emplace_back();
    for (int i = 0; i < columns; ++i) {
      if (PQgetisnull(result, r, i) != 0) {
        row.emplace_back();
      } else {
        row.emplace_back(std::string(PQgetvalue(result, r, i), static_cast<size_t>(PQgetlength(result, r, i))));
      }
    }
  }
  return rows;
}

bool PostgresConnection::is_busy() const { return PQtransactionStatus(handle_.get()) == PQTRANS_ACTIVE; }

// After each query. There is something to do only if it was cancelled before its answer was read.
weft::Task<void> PostgresConnection::Settle() {
  if (!is_busy() || broken_) co_return;
  const absl::Status settled = co_await weft::WithTimeout(kSettleTime, Interrupt());
  if (!settled.ok()) broken_ = true;
}

// A request does nothing if the server has not read the query yet, so the query is sent first, and the request again if
// no answer comes. A request that comes after the end of the query does nothing either: PQcancel returns after the
// server's process was signalled, so the next query is not hit.
weft::Task<absl::Status> PostgresConnection::Interrupt() {
  if (absl::Status sent = co_await Flush(); !sent.ok()) co_return sent;
  const std::unique_ptr<PGcancel, FreeCancel> cancel(PQgetCancel(handle_.get()));
  if (cancel == nullptr) co_return Error();
  while (is_busy()) {
    absl::Status requested = co_await weft::Blocking([&]() -> absl::Status {
      char error[256] = "";
      if (PQcancel(cancel.get(), error, sizeof(error)) != 0) return absl::OkStatus();
      return absl::UnavailableError(Trim(error));
    });
    if (!requested.ok()) co_return requested;
    co_await weft::MoveOnAfter(kBetweenRequests, ReadAnswer());
    if (broken_ || PQstatus(handle_.get()) == CONNECTION_BAD) co_return Error();
  }
  co_return absl::OkStatus();
}

TransactionState PostgresConnection::transaction() const {
  switch (PQtransactionStatus(handle_.get())) {
    case PQTRANS_IDLE:
      return TransactionState::kNone;
    case PQTRANS_INTRANS:
      return TransactionState::kOpen;
    default:
      return TransactionState::kFailed;
  }
}

bool PostgresConnection::reusable() const {
  return !broken_ && transaction() == TransactionState::kNone && !HasInput(PQsocket(handle_.get()));
}

absl::Status PostgresConnection::Error() const { return absl::UnavailableError(Trim(PQerrorMessage(handle_.get()))); }

}  // namespace database
