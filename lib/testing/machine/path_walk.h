// Layer testing. Where does a path lead?
//
//   PathWalk walk(root, start, "a/b/c/");
//   if (const int error = walk.ToLast(); error != 0) return error;
//   walk.directory();    // what "a/b" is
//   walk.name();         // "c"
//   walk.wants_directory();  // it ends with a slash
//
// As path_resolution(7), and Linux's fs/namei.c, from which the order is in which it finds fault with a path.
#ifndef WEFT_LIB_TESTING_MACHINE_PATH_WALK_H_
#define WEFT_LIB_TESTING_MACHINE_PATH_WALK_H_

#include <memory>
#include <string>

#include "lib/testing/machine/inode.h"

namespace weft::internal::machine {

// Its functions return 0 or an errno as a negative number.
class PathWalk {
 public:
  // What the last part of a path is. Only a kName can be created or removed.
  enum class Last { kName, kDot, kDotDot, kRoot };

  // A path that does not begin with '/' begins at `start`.
  PathWalk(std::shared_ptr<Inode> root, std::shared_ptr<Inode> start, const char* path);

  // To the directory of the last part, through all links on the way.
  int ToLast();

  // ---- After ToLast().

  const std::shared_ptr<Inode>& directory() const noexcept { return at_; }
  Last last() const noexcept { return last_; }
  // Of a kName.
  const std::string& name() const noexcept { return name_; }
  // The name has a slash behind it.
  bool wants_directory() const noexcept { return wants_directory_; }

  // What the last part is, itself, if it is a link; null: there is nothing of that name.
  int Find(std::shared_ptr<Inode>& found) const;
  // Find() has found this link: goes to the last part of what it leads to, as by ToLast().
  int Follow(const Inode& link);

  // ---- Instead of them.

  // What the path leads to. `follow`: also through a link at its end.
  int ToEnd(bool follow, std::shared_ptr<Inode>& found);
  // After ToEnd(), which has found this: its path from the root, through no link and no "..".
  std::string WholePath(const Inode& found) const;

 private:
  int Lookup(const std::string& name, std::shared_ptr<Inode>& found) const;
  int Up(std::shared_ptr<Inode>& above) const;
  // Puts the target of a link in front of what is left.
  int Enter(const Inode& link, const std::string& rest);

  const std::shared_ptr<Inode> root_;
  std::shared_ptr<Inode> at_;
  std::string rest_;
  std::string name_;
  Last last_ = Last::kRoot;
  bool wants_directory_ = false;
  int links_ = 0;  // that it has followed
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_PATH_WALK_H_
