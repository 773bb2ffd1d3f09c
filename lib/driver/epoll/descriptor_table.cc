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

Descriptor* DescriptorTable::FindInOrder(int fd) noexcept {
  if (Descriptor* const found = Find(fd); found != nullptr) return found;
  const size_t number = static_cast<size_t>(fd);
  if (fd < 0 || number >= kMaxDescriptors) return nullptr;
  Descriptor* chunk = nullptr;
  // Null for null: a write, so that whoever makes the chunk after it reads from it.
  // [chunk/3] acq_rel, acquire on failure: pairs with [chunk/2], which reads it if it comes later; if it came before,
  // this finds its records.
  if (chunks_[number / kChunkSize].compare_exchange_strong(chunk, nullptr, std::memory_order_acq_rel,
                                                           std::memory_order_acquire)) {
    return nullptr;
  }
  return &chunk[number % kChunkSize];
}

Descriptor* DescriptorTable::Allocate(size_t chunk) noexcept {
  Descriptor* const made = new (std::nothrow) Descriptor[kChunkSize];
  if (made == nullptr) return nullptr;
  Descriptor* found = nullptr;
  // [chunk/2] acq_rel, acquire on failure: pairs with [chunk/1]; with [chunk/3], whose null this reads; and on failure
  // with itself: somebody else's records.
  if (chunks_[chunk].compare_exchange_strong(found, made, std::memory_order_acq_rel, std::memory_order_acquire)) {
    return made;
  }
  delete[] made;
  return found;
}

}  // namespace weft::internal
