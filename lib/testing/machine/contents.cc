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

// The bytes of a page, which nobody else has from here on.
template <class Page>
char* Own(std::shared_ptr<Page>& page) {
  if (page == nullptr) {
    page = std::make_shared<Page>();  // zeros
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return page->data();
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
  const bool cut = size <= size_;
  size_ = size;
  if (!cut) return;
  const auto first = pages_.lower_bound(PagesOf(size));
  space.Give(static_cast<uint64_t>(std::distance(first, pages_.end())));
  pages_.erase(first, pages_.end());
  lost_.erase(lost_.lower_bound(size / kPageBytes), lost_.end());  // the cut is written to the page that it is in
  ClearBehindEnd();
}

void Contents::ClearBehindEnd() {
  const uint64_t kept = size_ % kPageBytes;
  const auto last = pages_.find(size_ / kPageBytes);
  if (kept == 0 || last == pages_.end() || last->second == nullptr) return;
  std::memset(Own(last->second) + kept, 0, kPageBytes - kept);
}

bool Contents::Allocate(uint64_t offset, uint64_t bytes, Space& space) {
  const uint64_t begin = offset / kPageBytes, end = PagesOf(offset + bytes);
  const auto there = std::distance(pages_.lower_bound(begin), pages_.lower_bound(end));
  if (!space.Take(end - begin - static_cast<uint64_t>(there))) return false;
  for (uint64_t page = begin; page < end; ++page) pages_.try_emplace(page);
  return true;
}

void Contents::LosePages(const Contents& durable, Chance& chance) {
  for (const auto& [place, page] : pages_) {
    const auto there = durable.pages_.find(place);
    const bool same = there != durable.pages_.end() && there->second == page;
    if (page != nullptr && !same && chance.Below(2) == 0) lost_.insert(place);
  }
}

Contents Contents::Synced(const Contents& before) const {
  Contents synced = *this;
  synced.lost_.clear();
  for (const uint64_t place : lost_) {
    const auto there = before.pages_.find(place);
    if (there == before.pages_.end()) {
      synced.pages_.erase(place);
    } else {
      synced.pages_[place] = there->second;
    }
  }
  if (lost_.contains(size_ / kPageBytes)) synced.ClearBehindEnd();
  return synced;
}

char* Contents::BytesOf(uint64_t page, Space& space) {
  auto found = pages_.find(page);
  if (found == pages_.end()) {
    if (!space.Take(1)) return nullptr;
    found = pages_.try_emplace(page).first;
  }
  lost_.erase(page);
  return Own(found->second);
}

}  // namespace weft::internal::machine
