#include "lib/testing/machine/contents.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>

namespace weft::internal::machine {
namespace {

constexpr uint64_t PagesOf(uint64_t bytes) noexcept {
  return bytes / Contents::kPageBytes + (bytes % Contents::kPageBytes != 0 ? 1 : 0);
}

// How much of `bytes` at `offset` lies in the page that `offset` is in.
constexpr size_t InOnePage(uint64_t offset, size_t bytes) noexcept {
  return std::min(bytes, static_cast<size_t>(Contents::kPageBytes - offset % Contents::kPageBytes));
}

}  // namespace

size_t Contents::Read(uint64_t offset, char* into, size_t bytes) const {
  if (offset >= size_) return 0;
  bytes = static_cast<size_t>(std::min(uint64_t{bytes}, size_ - offset));
  for (size_t done = 0, part; done < bytes; done += part) {
    const uint64_t place = offset + done;
    part = InOnePage(place, bytes - done);
    const auto page = pages_.find(place / kPageBytes);
    if (page == pages_.end() || page->second == nullptr) {
      std::memset(into + done, 0, part);
    } else {
      std::memcpy(into + done, page->second->data() + place % kPageBytes, part);
    }
  }
  return bytes;
}

size_t Contents::Write(uint64_t offset, const char* from, size_t bytes, Space& space) {
  size_t done = 0;
  for (size_t part; done < bytes; done += part) {
    const uint64_t place = offset + done;
    part = InOnePage(place, bytes - done);
    char* const page = BytesOf(place / kPageBytes, space);
    if (page == nullptr) break;
    std::memcpy(page + place % kPageBytes, from + done, part);
  }
  if (done > 0) size_ = std::max(size_, offset + done);
  return done;
}

void Contents::Resize(uint64_t size, Space& space) {
  if (size <= size_) {
    const auto first = pages_.lower_bound(PagesOf(size));
    space.Give(static_cast<uint64_t>(std::distance(first, pages_.end())));
    pages_.erase(first, pages_.end());
    // What is behind the end is zeros, which it shows if it becomes longer again.
    const uint64_t kept = size % kPageBytes;
    const auto last = pages_.find(size / kPageBytes);
    if (kept != 0 && last != pages_.end() && last->second != nullptr) {
      std::memset(BytesOf(last->first, space) + kept, 0, kPageBytes - kept);
    }
  }
  size_ = size;
}

bool Contents::Allocate(uint64_t offset, uint64_t bytes, Space& space) {
  const uint64_t begin = offset / kPageBytes, end = PagesOf(offset + bytes);
  const auto there = std::distance(pages_.lower_bound(begin), pages_.lower_bound(end));
  if (!space.Take(end - begin - static_cast<uint64_t>(there))) return false;
  for (uint64_t page = begin; page < end; ++page) pages_.try_emplace(page);
  return true;
}

char* Contents::BytesOf(uint64_t page, Space& space) {
  auto found = pages_.find(page);
  if (found == pages_.end()) {
    if (!space.Take(1)) return nullptr;
    found = pages_.try_emplace(page).first;
  }
  std::shared_ptr<Page>& bytes = found->second;
  if (bytes == nullptr) {
    bytes = std::make_shared<Page>();  // zeros
  } else if (bytes.use_count() > 1) {
    bytes = std::make_shared<Page>(*bytes);
  }
  return bytes->data();
}

}  // namespace weft::internal::machine
