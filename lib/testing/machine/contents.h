// Layer testing. What bytes does a file of the machine have?
//
// Pages of 4 KiB, those that were written to: the rest are holes, which read as zeros and take no space. A copy of
// Contents shares the pages; who writes to one that is shared gets its own. So it costs little to keep what is on the
// disk apart from what has not come there yet (journal.h).
#ifndef WEFT_LIB_TESTING_MACHINE_CONTENTS_H_
#define WEFT_LIB_TESTING_MACHINE_CONTENTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "lib/testing/machine/chance.h"

namespace weft::internal::machine {

// How much room the disk has, in pages.
class Space {
 public:
  explicit Space(uint64_t pages) noexcept : pages_(pages) {}

  // False, and none is taken: there are not as many.
  bool Take(uint64_t pages) noexcept {
    if (taken_ > pages_ || pages > pages_ - taken_) return false;
    taken_ += pages;
    return true;
  }
  void Give(uint64_t pages) noexcept { taken_ -= pages; }
  // So many are taken, also if there are not as many.
  void Recount(uint64_t pages) noexcept { taken_ = pages; }

  uint64_t pages() const noexcept { return pages_; }
  uint64_t taken() const noexcept { return taken_; }

 private:
  const uint64_t pages_;
  uint64_t taken_ = 0;
};

// Whoever changes what a file has at present takes its pages from the disk's `space`. What a copy has is not counted.
class Contents {
 public:
  static constexpr uint64_t kPageBytes = 4096;

  uint64_t size() const noexcept { return size_; }
  // How many pages it has, also behind its end.
  uint64_t pages() const noexcept { return pages_.size(); }

  // Returns how many bytes there are to read.
  size_t Read(uint64_t offset, char* into, size_t bytes) const;
  // Returns how many bytes there was room for.
  size_t Write(uint64_t offset, const char* from, size_t bytes, Space& space);
  void Resize(uint64_t size, Space& space);
  // Gives the range its pages, and leaves the size as it is. False: there is no room, and nothing is changed.
  bool Allocate(uint64_t offset, uint64_t bytes, Space& space);

  // Chance takes some of the pages that are not those of `durable`: Synced() is without them until they are written to.
  void LosePages(const Contents& durable, Chance& chance);
  // What the disk has of this, where it had `before`: a page that was lost stays as it was there.
  Contents Synced(const Contents& before) const;

 private:
  using Page = std::array<char, kPageBytes>;

  // The bytes of a page, to be written to by this alone. Null: there is no room.
  char* BytesOf(uint64_t page, Space& space);
  // What is behind the end is zeros, which it shows if it becomes longer again.
  void ClearBehindEnd();

  uint64_t size_ = 0;
  std::map<uint64_t, std::shared_ptr<Page>> pages_;  // null: zeros
  std::set<uint64_t> lost_;                          // see LosePages()
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_CONTENTS_H_
