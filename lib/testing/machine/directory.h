// Layer testing. What are the entries of a directory of the machine?
//
// As in a file system that keeps them by a hash of their names, an entry has a place, chosen by chance, which a reader
// comes by: what is created or removed while somebody reads moves no other entry. A reader sees what was there when it
// began, and still is; so one that renames what it finds comes to an end.
#ifndef WEFT_LIB_TESTING_MACHINE_DIRECTORY_H_
#define WEFT_LIB_TESTING_MACHINE_DIRECTORY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/testing/machine/chance.h"

namespace weft::internal::machine {

struct Inode;

class Directory {
 public:
  struct Entry {
    std::shared_ptr<Inode> inode;
    int64_t place;
    uint64_t age;  // those created later have a higher one
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  // Places from here on are those of entries; the ones below are free for "." and "..".
  static constexpr int64_t kFirstPlace = 16;

  // Null: there is none of this name.
  std::shared_ptr<Inode> Find(const std::string& name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : found->second.inode;
  }
  // Of a directory that is in this one. In O(entries).
  const std::string& NameOf(const Inode& directory) const {
    return std::find_if(entries_.begin(), entries_.end(), [&directory](const auto& entry) {
             return entry.second.inode.get() == &directory;
           })->first;
  }
  bool empty() const noexcept { return entries_.empty(); }
  Names names() const {
    Names names;
    for (const auto& [name, entry] : entries_) names.emplace_hint(names.end(), name, entry.inode);
    return names;
  }

  // An entry of this name that is there keeps its place.
  void Put(const std::string& name, std::shared_ptr<Inode> inode, Chance& chance) {
    if (const auto found = entries_.find(name); found != entries_.end()) {
      found->second.inode = std::move(inode);
      return;
    }
    int64_t place;
    do {
      place = kFirstPlace + static_cast<int64_t>(chance.Next() >> 2);
    } while (!places_.try_emplace(place, name).second);
    entries_.emplace(name, Entry{std::move(inode), place, ++age_});
  }
  void Erase(const std::string& name) {
    const auto found = entries_.find(name);
    places_.erase(found->second.place);
    entries_.erase(found);
  }
  void Clear() noexcept {
    places_.clear();
    entries_.clear();
  }

  // The age of the youngest entry that there ever was.
  uint64_t age() const noexcept { return age_; }
  // The first entry behind `place` that is not younger than `age`, and its name. Null: there is none.
  const Entry* After(int64_t place, uint64_t age, const std::string*& name) const {
    for (auto next = places_.upper_bound(place); next != places_.end(); ++next) {
      const Entry& entry = entries_.find(next->second)->second;
      name = &next->second;
      if (entry.age <= age) return &entry;
    }
    return nullptr;
  }

  std::weak_ptr<Inode> parent;  // the root's is the root
  bool removed = false;         // and so without entries for good
  Names durable;                // on the disk: see journal.h
  bool moved = false;           // see journal.h

 private:
  std::map<std::string, Entry> entries_;
  std::map<int64_t, std::string> places_;
  uint64_t age_ = 0;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_DIRECTORY_H_
