#include "lib/testing/machine/pipe.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace weft::internal::machine {

PipeEnd::Ends PipeEnd::Make(int flags, Chance& chance) {
  auto shared = std::make_shared<Shared>();
  Ends ends;
  ends.reader.reset(new PipeEnd(O_RDONLY | flags, /*reads=*/true, shared, chance));
  ends.writer.reset(new PipeEnd(O_WRONLY | flags, /*reads=*/false, shared, chance));
  shared->reader = ends.reader.get();
  shared->writer = ends.writer.get();
  return ends;
}

PipeEnd::~PipeEnd() {
  (reads_ ? shared_->reader : shared_->writer) = nullptr;
  PipeEnd* const other = reads_ ? shared_->writer : shared_->reader;
  if (other != nullptr) other->TellReady(other->Readiness());
}

uint32_t PipeEnd::Readiness() const noexcept {
  if (reads_) return (shared_->bytes.empty() ? 0u : EPOLLIN) | (shared_->writer == nullptr ? EPOLLHUP : 0u);
  const bool room = kCapacity - shared_->bytes.size() >= kAtomicBytes;
  return (room ? EPOLLOUT : 0u) | (shared_->reader == nullptr ? EPOLLERR : 0u);
}

int64_t PipeEnd::Read(Parts into) {
  if (!reads_) return -EBADF;
  if (BytesOf(into) == 0) return 0;
  if (shared_->bytes.empty()) return shared_->writer == nullptr ? 0 : -EAGAIN;
  Rights none;
  const std::string data =
      shared_->bytes.Pop(chance_.Part(std::min(BytesOf(into), shared_->bytes.size())), none);
  if (shared_->writer != nullptr) shared_->writer->TellReady(shared_->writer->Readiness());
  return static_cast<int64_t>(Scatter(data.data(), data.size(), into));
}

// A pipe breaks by its reader's end; SIGPIPE is ignored wherever Weft writes to one.
int64_t PipeEnd::Write(Parts from) {
  if (reads_) return -EBADF;
  if (shared_->reader == nullptr) return -EPIPE;
  const size_t wanted = BytesOf(from);
  if (wanted == 0) return 0;
  const size_t room = kCapacity - shared_->bytes.size();
  if (room == 0 || (wanted <= kAtomicBytes && room < wanted)) return -EAGAIN;
  const size_t bytes = wanted <= kAtomicBytes ? wanted : chance_.Part(std::min(wanted, room));
  shared_->bytes.Push(Gather(from, bytes));
  shared_->reader->TellReady(EPOLLIN);
  return static_cast<int64_t>(bytes);
}

int PipeEnd::Stat(struct stat& result) {
  result = {};
  result.st_mode = S_IFIFO | 0600;
  return 0;
}

}  // namespace weft::internal::machine
