#include "lib/driver/epoll/descriptor_table.h"

#include <new>

namespace weft::internal {

DescriptorTable::~DescriptorTable() {
  // relaxed: whoever destroys the table is the last to have it.
  for (Atomic<Descriptor*>& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
}

Descriptor* DescriptorTable::Get(int fd) noexcept {
  if (Descriptor* const found = Find(fd); found != nullptr) return found;
  const size_t number = static_cast<size_t>(fd);
  if (fd < 0 || number >= kMaxDescriptors) return nullptr;
  Descriptor* const chunk = Allocate(number / kChunkSize);
  return chunk == nullptr ? nullptr : &chunk[number % kChunkSize];
}

Descriptor* DescriptorTable::Allocate(size_t chunk) noexcept {
  Descriptor* const made = new (std::nothrow) Descriptor[kChunkSize];
  if (made == nullptr) return nullptr;
  Descriptor* found = nullptr;
  // [chunk/2] release, acquire on failure: pairs with [chunk/1], and on failure with itself: somebody else's records.
  if (chunks_[chunk].compare_exchange_strong(found, made, std::memory_order_release, std::memory_order_acquire)) {
    return made;
  }
  delete[] made;
  return found;
}

}  // namespace weft::internal
