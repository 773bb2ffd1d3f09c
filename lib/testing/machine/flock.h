// Layer testing. Who has a lock of flock(2) on a file?
#ifndef WEFT_LIB_TESTING_MACHINE_FLOCK_H_
#define WEFT_LIB_TESTING_MACHINE_FLOCK_H_

#include <algorithm>
#include <vector>

namespace weft::internal::machine {

class FileObject;

// One exclusive lock, or shared ones. They belong to the open file, not to who opened it.
class Flock {
 public:
  // False: it conflicts with another's. As in Linux, one that `file` had in the other way is gone then, too.
  bool Take(const FileObject& file, bool exclusive) {
    if (Has(file) && exclusive_ == exclusive) return true;
    Drop(file);
    if (!holders_.empty() && (exclusive || exclusive_)) return false;
    holders_.push_back(&file);
    exclusive_ = exclusive;
    return true;
  }

  void Drop(const FileObject& file) noexcept { std::erase(holders_, &file); }

 private:
  bool Has(const FileObject& file) const noexcept {
    return std::find(holders_.begin(), holders_.end(), &file) != holders_.end();
  }

  std::vector<const FileObject*> holders_;
  bool exclusive_ = false;  // if there is a holder
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_FLOCK_H_
