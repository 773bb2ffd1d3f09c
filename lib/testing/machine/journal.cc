#include "lib/testing/machine/journal.h"

#include <cstddef>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

namespace weft::internal::machine {
namespace {

// Everything below `root`, and itself, at present and on the disk. A directory is before what is in it.
std::vector<std::shared_ptr<Inode>> Everything(const std::shared_ptr<Inode>& root) {
  std::vector<std::shared_ptr<Inode>> found = {root};
  std::unordered_set<const Inode*> seen = {root.get()};
  const auto add = [&](const Directory::Names& names) {
    for (const auto& [name, inode] : names) {
      if (seen.insert(inode.get()).second) found.push_back(inode);
    }
  };
  for (size_t i = 0; i < found.size(); ++i) {
    const std::shared_ptr<Inode> inode = found[i];
    if (!inode->IsDirectory()) continue;
    add(inode->directory->names());
    add(inode->directory->durable);
  }
  return found;
}

void SyncEntries(Directory& directory) {
  directory.durable = directory.names();
  directory.moved = false;
}

void SyncAllEntries(Inode& root) {
  std::vector<Directory*> left = {root.directory.get()};
  while (!left.empty()) {
    Directory& directory = *left.back();
    left.pop_back();
    SyncEntries(directory);
    for (const auto& [name, inode] : directory.durable) {
      if (inode->IsDirectory()) left.push_back(inode->directory.get());
    }
  }
}

// Enters what the disk has in a directory, which is there itself.
void Restore(const std::shared_ptr<Inode>& inode, Chance& chance) {
  Directory& directory = *inode->directory;
  directory.removed = directory.moved = false;
  inode->links += 1;  // "."
  for (const auto& [name, child] : directory.durable) {
    directory.Put(name, child, chance);
    child->links += 1;
    if (!child->IsDirectory()) continue;
    child->directory->parent = inode;
    inode->links += 1;  // its ".."
  }
}

}  // namespace

void SyncInode(Inode& inode, Inode& root) {
  Contents contents = inode.state.contents.Synced(inode.durable.contents);
  inode.durable = inode.state;
  inode.durable.contents = std::move(contents);
  if (!inode.IsDirectory() || inode.directory->removed) return;
  if (inode.directory->moved) {
    SyncAllEntries(root);
  } else {
    SyncEntries(*inode.directory);
  }
}

void FailToSync(Inode& inode, Chance& chance) {
  inode.state.contents.LosePages(inode.durable.contents, chance);
}

void LosePower(const std::shared_ptr<Inode>& root, Space& space, Chance& chance) {
  {
    const std::vector<std::shared_ptr<Inode>> everything = Everything(root);
    for (const std::shared_ptr<Inode>& inode : everything) {
      if (inode->IsDirectory()) inode->directory->Clear();
      inode->state = inode->durable;
      inode->links = 0;
    }
  }
  // What is left is what the disk has.
  uint64_t pages = 0;
  root->links += 1;
  for (const std::shared_ptr<Inode>& inode : Everything(root)) {
    if (inode->IsDirectory()) Restore(inode, chance);
    pages += inode->state.contents.pages();
  }
  space.Recount(pages);
}

void TakeApart(const std::shared_ptr<Inode>& root) {
  for (const std::shared_ptr<Inode>& inode : Everything(root)) {
    if (!inode->IsDirectory()) continue;
    inode->directory->Clear();
    inode->directory->durable.clear();
  }
}

}  // namespace weft::internal::machine
