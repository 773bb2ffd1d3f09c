// Streams: what is read and written, with and without descriptors, and the wait for the peer's end.
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "tests/support/read_to_end.h"
#include "weft/errno.h"
#include "weft/io/buffer.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using io::UniqueDescriptor;
using net::TcpStream;
using net::UnixStream;

constexpr size_t kWhole = 8;     // what an operation asks for
constexpr size_t kPart = 3;      // of that
constexpr size_t kSmall = 1000;  // fits into buffers that were emptied
constexpr size_t kLarge = 1 << 20;  // does not

bool IsBroken(const absl::Status& status) {
  return ErrnoOf(status) == ECONNRESET || ErrnoOf(status) == EPIPE || ErrnoOf(status) == ENOTCONN;
}

// The peer of a stream that is broken off has bytes that it has not read: so it is a reset.
template <class Stream>
class StreamTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    auto [first, second] = co_await ConnectedStreams<Stream>();
    mine.emplace(std::move(first));
    peer.emplace(std::move(second));
    if (!fails()) co_return;
    char byte;
    EXPECT_TRUE((co_await mine->Write("ab")).ok());
    EXPECT_EQ((co_await peer->Read(MutableBuffer(&byte, 1))).value_or(0), 1u);
  }

 protected:
  // Bytes go in both directions.
  Task<void> ExpectUsable() {
    char byte = 0;
    EXPECT_EQ(co_await mine->Write("m"), absl::OkStatus());
    EXPECT_EQ(co_await peer->ReadExactly(MutableBuffer(&byte, 1)), absl::OkStatus());
    EXPECT_EQ(byte, 'm');
    EXPECT_EQ(co_await peer->Write("p"), absl::OkStatus());
    EXPECT_EQ(co_await mine->ReadExactly(MutableBuffer(&byte, 1)), absl::OkStatus());
    EXPECT_EQ(byte, 'p');
  }

  std::optional<Stream> mine, peer;
};

// ---- Reads.

template <class Stream>
class ReadTrial : public StreamTrial<Stream> {
 public:
  using StreamTrial<Stream>::StreamTrial;

  Task<void> Operate() override {
    char buffer[kWhole];
    const absl::StatusOr<size_t> got = co_await this->mine->Read(buffer);
    this->NoteReturn();
    this->status = got.status();
    if (got.ok()) this->bytes.assign(buffer, *got);
  }
  void Complete() override {
    if (this->fails()) return this->peer.reset();
    SendNow(this->peer->native_handle(), BytesFrom(0, sent()));
  }
  Task<void> Check() override {
    if (this->fails()) {
      if (!this->returned()) {
        char byte;
        this->status = (co_await this->mine->Read(MutableBuffer(&byte, 1))).status();
      }
      EXPECT_EQ(ErrnoOf(this->status), ECONNRESET) << this->status;
      co_return;
    }
    EXPECT_TRUE(this->status.ok()) << this->status;
    std::string rest(sent() - this->bytes.size(), '\0');
    EXPECT_EQ(co_await this->mine->ReadExactly(rest), absl::OkStatus());
    EXPECT_EQ(this->bytes + rest, BytesFrom(0, sent()));
    co_await this->ExpectUsable();
  }

 protected:
  size_t sent() const { return this->is_short() ? kPart : kWhole; }

  absl::Status status;
  std::string bytes;
};

class ReadExactlyTrial : public StreamTrial<TcpStream> {
 public:
  using StreamTrial::StreamTrial;

  Task<void> Operate() override {
    status = co_await mine->ReadExactly(buffer);
    NoteReturn();
  }
  bool EndsInOneTurn() const override { return !is_short(); }  // it waits for the rest
  void Complete() override {
    if (fails()) return peer.reset();
    SendNow(peer->native_handle(), std::string(is_short() ? kPart : kWhole, 'x'));
  }
  Task<void> Check() override {
    if (fails()) {
      if (!returned()) status = co_await mine->ReadExactly(buffer);
      EXPECT_EQ(ErrnoOf(status), ECONNRESET) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    if (returned()) EXPECT_EQ(buffer, std::string(kWhole, 'x'));
    // What it took is in the buffer.
    std::string rest((is_short() ? kPart : kWhole) - buffer.find_last_not_of('-') - 1, '\0');
    EXPECT_EQ(co_await mine->ReadExactly(rest), absl::OkStatus());
    EXPECT_EQ(rest, std::string(rest.size(), 'x'));
    co_await ExpectUsable();
  }

 private:
  std::string buffer = std::string(kWhole, '-');
  absl::Status status;
};

class ReadLineTrial : public StreamTrial<TcpStream> {
 public:
  using StreamTrial::StreamTrial;

  Task<void> SetUp() override {
    co_await StreamTrial::SetUp();
    lines.emplace(*mine);
  }
  Task<void> Operate() override {
    const absl::StatusOr<std::string_view> got = co_await lines->ReadLine();
    NoteReturn();
    status = got.status();
    if (got.ok()) line = *got;
  }
  bool EndsInOneTurn() const override { return !is_short(); }  // it waits for the end of the line
  void Complete() override {
    if (fails()) return peer.reset();
    SendNow(peer->native_handle(), is_short() ? "a li" : "a line\n");
  }
  Task<void> Check() override {
    if (is_short()) SendNow(peer->native_handle(), "ne\n");
    if (!returned()) {
      const absl::StatusOr<std::string_view> got = co_await lines->ReadLine();
      status = got.status();
      if (got.ok()) line = *got;
    }
    if (fails()) {
      EXPECT_EQ(ErrnoOf(status), ECONNRESET) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(line, "a line");
    co_await ExpectUsable();
  }

 private:
  std::optional<io::BufferedReader<TcpStream&>> lines;
  absl::Status status;
  std::string line;
};

// The bytes come with a descriptor.
class ReceiveTrial : public StreamTrial<UnixStream> {
 public:
  using StreamTrial::StreamTrial;

  Task<void> Operate() override {
    char buffer[kWhole];
    const absl::StatusOr<size_t> got = co_await mine->Receive(buffer, descriptors);
    NoteReturn();
    status = got.status();
    if (got.ok()) bytes.assign(buffer, *got);
  }
  void Complete() override {
    if (fails()) return peer.reset();
    SendNow(peer->native_handle(), BytesFrom(0, sent()), /*descriptor=*/peer->native_handle());
  }
  Task<void> Check() override {
    char buffer[kWhole];
    if (!returned()) {
      const absl::StatusOr<size_t> got = co_await mine->Receive(buffer, descriptors);
      status = got.status();
      if (got.ok()) bytes.assign(buffer, *got);
    }
    if (fails()) {
      EXPECT_EQ(ErrnoOf(status), ECONNRESET) << status;
      EXPECT_TRUE(descriptors.empty());
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(bytes, BytesFrom(0, sent()));
    EXPECT_EQ(descriptors.size(), 1u);
    co_await ExpectUsable();
  }

 private:
  size_t sent() const { return is_short() ? kPart : kWhole; }

  absl::Status status;
  std::string bytes;
  std::vector<UniqueDescriptor> descriptors;
};

// ---- Writes, into full buffers.

template <class Stream>
class WriteTrial : public StreamTrial<Stream> {
 public:
  using StreamTrial<Stream>::StreamTrial;

  Task<void> SetUp() override {
    co_await StreamTrial<Stream>::SetUp();
    filled = co_await Fill(this->mine->native_handle(), this->peer->native_handle());
    data = BytesFrom(filled, this->is_short() ? kLarge : kSmall);
  }
  Task<void> Operate() override {
    status = co_await Write();
    this->NoteReturn();
  }
  bool EndsInOneTurn() const override { return !this->is_short(); }  // it goes on with the rest
  void Complete() override {
    if (this->fails()) return this->peer.reset();
    EXPECT_EQ(Take(this->peer->native_handle(), filled), BytesFrom(0, filled));
  }
  Task<void> Check() override {
    if (this->fails()) {
      if (!this->returned()) status = co_await this->mine->Write("x");
      EXPECT_TRUE(IsBroken(status)) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(this->mine->ShutdownWrite(), absl::OkStatus());
    const std::string written = co_await ReadToEnd(*this->peer);
    EXPECT_TRUE(written == BytesFrom(filled, written.size())) << "bytes are lost, doubled or out of order";
    EXPECT_LE(written.size(), data.size());
    if (this->returned()) EXPECT_EQ(written.size(), data.size());
    char byte = 0;
    EXPECT_EQ(co_await this->peer->Write("p"), absl::OkStatus());
    EXPECT_EQ(co_await this->mine->ReadExactly(MutableBuffer(&byte, 1)), absl::OkStatus());
  }

 protected:
  virtual Task<absl::Status> Write() { co_return co_await this->mine->Write(data); }

  size_t filled = 0;
  std::string data;
  absl::Status status;
};

class WritePartsTrial : public WriteTrial<TcpStream> {
 public:
  using WriteTrial::WriteTrial;

 protected:
  Task<absl::Status> Write() override {
    const ConstBuffer all(data);
    ConstBuffer rest = all;
    rest.remove_prefix(kSmall / 3);
    const ConstBuffer parts[] = {all.first(kSmall / 3), rest};
    co_return co_await mine->Write(parts);
  }
};

// With the first byte travels a descriptor.
class SendTrial : public WriteTrial<UnixStream> {
 public:
  using WriteTrial::WriteTrial;

  Task<void> Check() override {
    if (fails()) co_return co_await WriteTrial::Check();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(mine->ShutdownWrite(), absl::OkStatus());
    std::vector<UniqueDescriptor> descriptors;
    std::string written, buffer(1 << 16, '\0');
    while (const size_t got = (co_await peer->Receive(buffer, descriptors)).value_or(0)) written.append(buffer, 0, got);
    EXPECT_TRUE(written == BytesFrom(filled, written.size())) << "bytes are lost, doubled or out of order";
    EXPECT_LE(written.size(), data.size());
    if (returned()) EXPECT_EQ(written.size(), data.size());
    EXPECT_EQ(descriptors.size(), written.empty() ? 0u : 1u);
  }

 protected:
  Task<absl::Status> Write() override {
    const int descriptors[] = {mine->native_handle()};
    co_return co_await mine->Send(data, descriptors);
  }
};

// ---- The peer's end.

template <class Stream>
class HangUpTrial : public StreamTrial<Stream> {
 public:
  using StreamTrial<Stream>::StreamTrial;

  Task<void> Operate() override {
    status = co_await this->mine->WaitHangUp();
    this->NoteReturn();
  }
  bool EndsInOneTurn() const override { return !this->is_short(); }  // bytes are no end
  void Complete() override {
    if (this->fails()) return this->peer.reset();
    if (this->is_short()) return SendNow(this->peer->native_handle(), "x");
    EXPECT_EQ(this->peer->ShutdownWrite(), absl::OkStatus());
  }
  Task<void> Check() override {
    EXPECT_TRUE(status.ok()) << status;
    if (this->is_short()) {
      EXPECT_FALSE(this->returned());
      char byte = 0;
      EXPECT_EQ((co_await this->mine->Read(MutableBuffer(&byte, 1))).value_or(0), 1u);
      EXPECT_EQ(byte, 'x');
      co_return co_await this->ExpectUsable();
    }
    EXPECT_EQ(co_await this->mine->WaitHangUp(), absl::OkStatus());
    char byte;
    const absl::StatusOr<size_t> got = co_await this->mine->Read(MutableBuffer(&byte, 1));
    if (this->fails()) {
      EXPECT_EQ(ErrnoOf(got.status()), ECONNRESET) << got.status();
    } else {
      EXPECT_EQ(got.value_or(9), 0u);
    }
  }

 private:
  absl::Status status;
};

}  // namespace

void AddStreams(std::vector<Row>& rows) {
  rows.push_back(RowOf<ReadTrial<TcpStream>>("TcpStream::Read"));
  rows.push_back(RowOf<ReadExactlyTrial>("TcpStream::ReadExactly"));
  rows.push_back(RowOf<WriteTrial<TcpStream>>("TcpStream::Write"));
  rows.push_back(RowOf<WritePartsTrial>("TcpStream::Write, of parts"));
  rows.push_back(RowOf<HangUpTrial<TcpStream>>("TcpStream::WaitHangUp"));
  rows.push_back(RowOf<ReadTrial<UnixStream>>("UnixStream::Read"));
  rows.push_back(RowOf<WriteTrial<UnixStream>>("UnixStream::Write"));
  rows.push_back(RowOf<SendTrial>("UnixStream::Send"));
  rows.push_back(RowOf<ReceiveTrial>("UnixStream::Receive"));
  rows.push_back(RowOf<HangUpTrial<UnixStream>>("UnixStream::WaitHangUp"));
  rows.push_back(RowOf<ReadLineTrial>("BufferedReader::ReadLine"));
}

}  // namespace weft::testing
