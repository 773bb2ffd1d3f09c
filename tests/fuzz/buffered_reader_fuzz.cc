// BufferedReader against a string: any calls, over a stream that comes in any pieces and fails now and then, yield what
// is next in the string, and lose nothing.
//
// An input: the buffer's size, four sizes of pieces, the number of calls, two bytes for each call, and the text.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/fuzz/fuzz.h"
#include "weft/internal/check.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/stream.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft::testing {
namespace {

class FuzzedStream {
 public:
  FuzzedStream(std::string_view text, FuzzPieces pieces) : text_(text), pieces_(pieces) {}

  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    WEFT_CHECK(!into.empty()) << "nothing is read";
    const size_t piece = pieces_.Next();
    if (piece == kFailure) co_return absl::UnavailableError("as the input says");
    const size_t count = std::min({piece, into.size(), text_.size() - position_});
    std::memcpy(into.data(), text_.data() + position_, count);
    position_ += count;
    co_return count;
  }

  size_t position() const { return position_; }

 private:
  static constexpr size_t kFailure = 13;

  const std::string_view text_;
  FuzzPieces pieces_;
  size_t position_ = 0;
};

using Reader = io::BufferedReader<FuzzedStream&>;

// The string, and how far it has been read.
class Oracle {
 public:
  explicit Oracle(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(at_); }
  size_t position() const { return at_; }
  void MoveTo(size_t position) { at_ = position; }

  // `take` bytes are next, of which `shown` are yielded; or the stream's failure, and nothing is taken.
  void Expect(const absl::StatusOr<std::string_view>& got, size_t shown, size_t take) {
    if (Failed(got.status())) return;
    WEFT_CHECK(got.ok()) << got.status();
    WEFT_CHECK(*got == rest().substr(0, shown)) << "not the next " << shown << " bytes, but " << *got;
    at_ += take;
  }
  void ExpectTooLong(const absl::Status& status) const {
    WEFT_CHECK(Failed(status) || status.code() == absl::StatusCode::kResourceExhausted) << status;
  }
  void ExpectEnd(const absl::Status& status) const {
    if (Failed(status)) return;
    WEFT_CHECK(status.code() == absl::StatusCode::kOutOfRange) << status;
    WEFT_CHECK(io::IsEndOfStream(status) == rest().empty()) << status << " before " << rest();
  }
  static bool Failed(const absl::Status& status) { return status.code() == absl::StatusCode::kUnavailable; }

 private:
  const std::string_view text_;
  size_t at_ = 0;
};

Task<void> ReadLine(Reader& in, Oracle& oracle, size_t limit) {
  const absl::StatusOr<std::string_view> got = co_await in.ReadLine({.max_bytes = limit});
  const std::string_view rest = oracle.rest();
  const size_t newline = rest.find('\n');
  size_t shown = std::min(newline, rest.size());
  const size_t take = newline == std::string_view::npos ? rest.size() : newline + 1;
  if (newline != std::string_view::npos && shown > 0 && rest[shown - 1] == '\r') --shown;
  if (rest.empty()) {
    oracle.ExpectEnd(got.status());
  } else if (shown > limit) {
    oracle.ExpectTooLong(got.status());
  } else {
    oracle.Expect(got, shown, take);
  }
}

Task<void> ReadUntil(Reader& in, Oracle& oracle, size_t limit) {
  constexpr char kDelimiter = ';';
  const absl::StatusOr<std::string_view> got = co_await in.ReadUntil(kDelimiter, {.max_bytes = limit});
  const std::string_view rest = oracle.rest();
  const size_t found = rest.find(kDelimiter);
  const size_t take = found == std::string_view::npos ? rest.size() : found + 1;
  // There has to be room for a delimiter, also if the end comes in its place.
  if (take > limit || (found == std::string_view::npos && take == limit)) {
    oracle.ExpectTooLong(got.status());
  } else if (rest.empty()) {
    oracle.ExpectEnd(got.status());
  } else {
    oracle.Expect(got, take, take);
  }
}

Task<void> ReadExactly(Reader& in, Oracle& oracle, size_t count) {
  const absl::StatusOr<std::string_view> got = co_await in.ReadExactly(count);
  if (count > oracle.rest().size()) {
    oracle.ExpectEnd(got.status());
  } else {
    oracle.Expect(got, count, count);
  }
}

Task<void> Peek(Reader& in, Oracle& oracle, size_t count) {
  oracle.Expect(co_await in.Peek(count), std::min(count, oracle.rest().size()), 0);
}

Task<void> Read(Reader& in, Oracle& oracle, size_t most) {
  std::array<char, 256> bytes;
  const absl::StatusOr<size_t> got = co_await in.Read(MutableBuffer(bytes.data(), most));
  if (Oracle::Failed(got.status())) co_return;
  WEFT_CHECK(got.ok() && *got <= most) << got.status();
  WEFT_CHECK((*got == 0) == (most == 0 || oracle.rest().empty())) << *got << " bytes before " << oracle.rest();
  oracle.Expect(std::string_view(bytes.data(), *got), *got, *got);
}

Task<void> ReadAll(Reader& in, Oracle& oracle, size_t limit) {
  const absl::StatusOr<std::string> got = co_await in.ReadAll({.max_bytes = limit});
  const size_t size = oracle.rest().size();
  if (size > limit) {
    oracle.ExpectTooLong(got.status());
  } else if (!got.ok()) {
    oracle.Expect(got.status(), 0, 0);
  } else {
    oracle.Expect(std::string_view(*got), size, size);
  }
}

// A failure may come after a part.
Task<void> Skip(Reader& in, Oracle& oracle, size_t count) {
  const absl::Status done = co_await in.Skip(count);
  const size_t skipped = in.stream().position() - in.buffered() - oracle.position();
  if (!Oracle::Failed(done)) {
    WEFT_CHECK(done.ok() == (count <= oracle.rest().size())) << done;
    WEFT_CHECK(io::IsEndOfStream(done) == (count > 0 && oracle.rest().empty())) << done;
    WEFT_CHECK(skipped == std::min(count, oracle.rest().size())) << skipped << " of " << count;
  }
  WEFT_CHECK(skipped <= count) << skipped << " of " << count;
  oracle.MoveTo(oracle.position() + skipped);
}

void Consume(Reader& in, Oracle& oracle, size_t count) {
  const size_t consumed = std::min(count, in.buffered());
  in.Consume(consumed);
  oracle.MoveTo(oracle.position() + consumed);
}

Task<void> Run(FuzzInput input) {
  const size_t buffer_size = input.TakeByte() % 64;
  const FuzzPieces pieces(input.Take(4));
  const size_t count_of_calls = input.TakeByte() % 32;
  FuzzInput calls(input.Take(2 * count_of_calls));
  FuzzedStream stream(input.rest(), pieces);
  Oracle oracle(input.rest());
  Reader in(stream, {.buffer_size = buffer_size});
  while (!calls.empty()) {
    const uint8_t call = calls.TakeByte() % 8;
    const size_t count = calls.TakeByte();
    if (call == 0) co_await ReadLine(in, oracle, count);
    if (call == 1) co_await ReadUntil(in, oracle, count);
    if (call == 2) co_await ReadExactly(in, oracle, count);
    if (call == 3) co_await Peek(in, oracle, count);
    if (call == 4) co_await Read(in, oracle, count);
    if (call == 5) co_await ReadAll(in, oracle, count);
    if (call == 6) co_await Skip(in, oracle, count);
    if (call == 7) Consume(in, oracle, count);
    WEFT_CHECK(stream.position() - in.buffered() == oracle.position())
        << "after call " << int{call} << " of " << count << ": " << stream.position() << " bytes were read, of which "
        << in.buffered() << " are buffered; " << oracle.position() << " were taken";
  }
}

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static weft::testing::Simulation simulation({.carriers = 1});
  simulation.Run(weft::testing::Run(weft::testing::FuzzInput({reinterpret_cast<const char*>(data), size})));
  return 0;
}
