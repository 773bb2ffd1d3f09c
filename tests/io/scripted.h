// Streams that do what a script says: in pieces of any size, with an error at any place, waiting before each piece.
#ifndef WEFT_TESTS_IO_SCRIPTED_H_
#define WEFT_TESTS_IO_SCRIPTED_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {

// The sizes of pieces: always the same, or random from 1 up to `most`.
class PieceSizes {
 public:
  static PieceSizes Of(size_t size) { return PieceSizes(size, std::nullopt); }
  static PieceSizes Random(size_t most, unsigned seed) { return PieceSizes(most, seed); }
  size_t Next() { return random_ ? 1 + (*random_)() % most_ : most_; }

 private:
  PieceSizes(size_t most, std::optional<unsigned> seed) : most_(most) {
    if (seed) random_.emplace(*seed);
  }
  size_t most_;
  std::optional<std::minstd_rand> random_;
};

// Every way to cut a stream that a test tries.
inline std::vector<PieceSizes> AllPieceSizes() {
  std::vector<PieceSizes> all;
  for (const unsigned size : {1u, 2u, 3u, 5u, 16u, 64u, 1u << 20}) all.push_back(PieceSizes::Of(size));
  for (unsigned seed = 1; seed <= 10; ++seed) all.push_back(PieceSizes::Random(20, seed));
  return all;
}

class ScriptedReader {
 public:
  explicit ScriptedReader(std::string_view text, PieceSizes sizes = PieceSizes::Of(1 << 20))
      : text_(text), sizes_(sizes) {}

  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    co_await Yield();
    ++reads;
    last_buffer = into.data();
    if (into.empty()) co_return absl::InternalError("nobody reads nothing");
    if (fails_at == position_) {
      fails_at.reset();
      co_return failure;
    }
    size_t count = std::min({sizes_.Next(), into.size(), text_.size() - position_});
    if (fails_at && *fails_at > position_) count = std::min(count, *fails_at - position_);
    if (count == 0 && fails_at_end) co_return failure;
    std::memcpy(into.data(), text_.data() + position_, count);
    position_ += count;
    co_return count;
  }

  absl::Status failure = absl::UnavailableError("as the script says");
  std::optional<size_t> fails_at;  // fails once, when so many bytes have been read
  bool fails_at_end = false;       // in place of the end
  int reads = 0;
  char* last_buffer = nullptr;
  size_t position() const { return position_; }

 private:
  const std::string text_;
  PieceSizes sizes_;
  size_t position_ = 0;
};

// Sends in pieces, and waits between them: a write that is cancelled has sent a part.
class ScriptedWriter {
 public:
  explicit ScriptedWriter(PieceSizes sizes = PieceSizes::Of(1 << 20)) : sizes_(sizes) {}

  Task<absl::Status> Write(ConstBuffer data) {
    calls.emplace_back(data.data(), data.size());
    co_return co_await Send(data);
  }

  std::string sent;
  std::vector<std::string> calls;
  std::optional<size_t> fails_at;  // from then on, when so many bytes have been sent
  absl::Status failure = absl::UnavailableError("as the script says");

 protected:
  Task<absl::Status> Send(ConstBuffer data) {
    co_await Yield();
    while (!data.empty()) {
      if (fails_at && sent.size() >= *fails_at) co_return failure;
      size_t count = std::min(sizes_.Next(), data.size());
      if (fails_at) count = std::min(count, *fails_at - sent.size());
      sent.append(data.data(), count);
      data.remove_prefix(count);
      co_await Yield();
    }
    co_return absl::OkStatus();
  }

 private:
  PieceSizes sizes_;
};

// The same, with a vectored write.
class VectoredScriptedWriter : public ScriptedWriter {
 public:
  using ScriptedWriter::ScriptedWriter;
  using ScriptedWriter::Write;

  Task<absl::Status> Write(std::span<const ConstBuffer> parts) {
    std::string all;
    for (const ConstBuffer part : parts) all.append(part.data(), part.size());
    calls.push_back(all);
    for (const ConstBuffer part : parts) {
      if (absl::Status done = co_await Send(part); !done.ok()) co_return done;
    }
    co_return absl::OkStatus();
  }
};

static_assert(io::Reader<ScriptedReader> && !io::Writer<ScriptedReader>);
static_assert(io::Writer<ScriptedWriter> && !io::VectoredWriter<ScriptedWriter> && !io::Reader<ScriptedWriter>);
static_assert(io::VectoredWriter<VectoredScriptedWriter> && !io::HalfCloser<VectoredScriptedWriter>);

}  // namespace weft::testing

#endif  // WEFT_TESTS_IO_SCRIPTED_H_
