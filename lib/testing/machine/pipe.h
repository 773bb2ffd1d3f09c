// Layer testing. pipe(2).
#ifndef WEFT_LIB_TESTING_MACHINE_PIPE_H_
#define WEFT_LIB_TESTING_MACHINE_PIPE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lib/testing/machine/byte_queue.h"
#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

class PipeEnd final : public OpenObject {
 public:
  struct Ends {
    std::shared_ptr<PipeEnd> reader;
    std::shared_ptr<PipeEnd> writer;
  };
  // `flags`: O_NONBLOCK or 0.
  static Ends Make(int flags, Chance& chance);
  ~PipeEnd() override;

  std::string Describe() const override { return reads_ ? "the reader of a pipe" : "the writer of a pipe"; }
  uint32_t Readiness() const noexcept override;
  int64_t Read(Parts into) override;
  int64_t Write(Parts from) override;
  int Stat(struct stat& result) override;

 private:
  // What a write of so much, or less, does in one piece or not at all.
  static constexpr size_t kAtomicBytes = 4096;
  static constexpr size_t kCapacity = size_t{64} << 10;

  struct Shared {
    ByteQueue bytes;
    PipeEnd* reader = nullptr;  // null: closed
    PipeEnd* writer = nullptr;  // same
  };

  PipeEnd(int flags, bool reads, std::shared_ptr<Shared> shared, Chance& chance) noexcept
      : OpenObject(flags), reads_(reads), shared_(std::move(shared)), chance_(chance) {}

  const bool reads_;
  const std::shared_ptr<Shared> shared_;
  Chance& chance_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_PIPE_H_
