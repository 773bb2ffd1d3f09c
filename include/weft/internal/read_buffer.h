// The bytes that a BufferedReader has read and not yielded yet, and what a call wants of them. Knows no stream.
//
// The buffer is one piece of memory: what is not yielded yet lies in [begin_, end_), and is moved to the front when the
// room behind it is short. Only the beginning of something that is not complete yet is ever moved, and at most once,
// so moving is linear in the bytes read. The memory doubles when it is full, up to what the call may need, and goes
// back to its first size when everything in it has been yielded.
//
// No byte is searched twice for a delimiter: searched_ says how far the last search came, also that of a call which was
// cancelled, or found nothing.
#ifndef WEFT_INTERNAL_READ_BUFFER_H_
#define WEFT_INTERNAL_READ_BUFFER_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"

namespace weft::internal {

// What one call wants, and, once that is settled, what it gets.
struct WantedBytes {
  enum class Kind : uint8_t {
    kSome,     // what there is, at most `limit`; reads into `into` itself if that is large
    kLine,     // up to a newline, which is not yielded; at most `limit` without it
    kUntil,    // up to the delimiter, which is yielded; at most `limit` with it
    kExactly,  // `limit` bytes
    kPeek,     // `limit` bytes, or up to the end; they stay
    kAll,      // up to the end, at most `limit`
  };
  enum class State : uint8_t {
    kOpen,
    kFound,    // the first `size` bytes, and after them `skip` that nobody gets
    kDirect,   // `size` bytes, which are in `into` already
    kTooLong,  // more than `limit`
    kEnded,    // the stream has ended, with `size` bytes of what is wanted
  };

  Kind kind;
  char delimiter = '\n';
  State state = State::kOpen;
  uint8_t skip = 0;
  size_t limit = 0;
  size_t size = 0;
  MutableBuffer into = {};
};

class ReadBuffer {
 public:
  // Takes no memory before the first read.
  explicit ReadBuffer(size_t capacity) noexcept;  // 0 is 1
  ReadBuffer(ReadBuffer&& other) noexcept;
  ReadBuffer& operator=(ReadBuffer&& other) noexcept;
  ~ReadBuffer() = default;

  size_t size() const noexcept { return end_ - begin_; }

  // Looks at what is buffered. True: `wanted` is settled, without further reading.
  bool Settle(WantedBytes& wanted) noexcept;
  // Where to read to, for something that is not settled: at least one byte. kResourceExhausted: no memory.
  absl::StatusOr<MutableBuffer> Room(const WantedBytes& wanted);
  // That many bytes were read into what Room() returned; 0: the end. Then Settle() again, which after the end is true.
  void OnRead(WantedBytes& wanted, size_t count) noexcept;
  // What was settled: a view that is valid until the next Room(), or why there is nothing.
  absl::StatusOr<std::string_view> Find(const WantedBytes& wanted) const;
  // The caller has what Find() has found: it leaves the buffer.
  void OnTaken(const WantedBytes& wanted) noexcept;
  // Drops the first bytes. `count` is at most size().
  void Consume(size_t count) noexcept;

 private:
  const char* data() const noexcept { return memory_.get() + begin_; }
  void SettleDelimited(WantedBytes& wanted) noexcept;
  // The most that may have to be buffered before `wanted` is settled.
  static size_t MostOf(const WantedBytes& wanted) noexcept;
  // Whether it is read into the caller's own memory: that is larger than the buffer.
  bool IsDirect(const WantedBytes& wanted) const noexcept;
  bool Grow(size_t capacity) noexcept;  // false: no memory

  size_t first_capacity_;
  io::AlignedBytes memory_;
  size_t capacity_ = 0;  // of memory_
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t searched_ = 0;  // the first bytes, of which none is searched_for_
  char searched_for_ = '\n';
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_READ_BUFFER_H_
