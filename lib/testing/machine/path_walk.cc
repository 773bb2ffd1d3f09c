#include "lib/testing/machine/path_walk.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace weft::internal::machine {
namespace {

constexpr size_t kMostOfPath = 4095;
constexpr size_t kMostOfName = 255;
constexpr int kMostLinks = 40;

}  // namespace

PathWalk::PathWalk(std::shared_ptr<Inode> root, std::shared_ptr<Inode> start, const char* path)
    : root_(std::move(root)), at_(std::move(start)), rest_(path) {}

int PathWalk::ToLast() {
  if (links_ == 0) {
    if (rest_.empty()) return -ENOENT;
    if (rest_.size() > kMostOfPath) return -ENAMETOOLONG;
  }
  while (true) {
    // What is left begins with one only at the beginning of the path, or of a link's target.
    if (rest_.front() == '/') at_ = root_;
    if (!at_->IsDirectory()) return -ENOTDIR;
    rest_.erase(0, rest_.find_first_not_of('/'));  // npos: all
    const size_t end = std::min(rest_.find('/'), rest_.size());
    name_ = rest_.substr(0, end);
    const size_t next = rest_.find_first_not_of('/', end);
    const bool is_last = next == std::string::npos;
    wants_directory_ = is_last && end < rest_.size();
    rest_.erase(0, next);
    last_ = name_.empty() ? Last::kRoot : name_ == "." ? Last::kDot : name_ == ".." ? Last::kDotDot : Last::kName;
    if (is_last) return 0;
    std::shared_ptr<Inode> found;
    if (const int error = Find(found); error != 0) return error;
    if (found == nullptr) return -ENOENT;
    if (found->IsLink()) {
      if (const int error = Enter(*found, "/" + rest_); error != 0) return error;
    } else {
      at_ = std::move(found);
    }
  }
}

int PathWalk::Find(std::shared_ptr<Inode>& found) const {
  switch (last_) {
    case Last::kName:
      return Lookup(name_, found);
    case Last::kDotDot:
      return Up(found);
    case Last::kDot:
    case Last::kRoot:
      found = at_;
  }
  return 0;
}

int PathWalk::Follow(const Inode& link) {
  const int error = Enter(link, wants_directory_ ? "/" : "");
  return error != 0 ? error : ToLast();
}

int PathWalk::ToEnd(bool follow, std::shared_ptr<Inode>& found) {
  int error = ToLast();
  while (error == 0) {
    error = Find(found);
    if (error != 0) break;
    if (found == nullptr) return -ENOENT;
    if (!found->IsLink() || (!follow && !wants_directory_)) {
      return wants_directory_ && !found->IsDirectory() ? -ENOTDIR : 0;
    }
    error = Follow(*found);
  }
  return error;
}

std::string PathWalk::WholePath(const Inode& found) const {
  // A directory knows the one that it is in, and has one name there.
  std::string path = found.IsDirectory() ? "" : "/" + name_;
  std::shared_ptr<const Inode> at;
  for (const Inode* below = found.IsDirectory() ? &found : at_.get(); below != root_.get(); below = at.get()) {
    at = below->directory->parent.lock();
    path = "/" + at->directory->NameOf(*below) + path;
  }
  return path.empty() ? "/" : path;
}

int PathWalk::Lookup(const std::string& name, std::shared_ptr<Inode>& found) const {
  if (name.size() > kMostOfName) return -ENAMETOOLONG;
  found = at_->directory->Find(name);
  return 0;
}

int PathWalk::Up(std::shared_ptr<Inode>& above) const {
  above = at_->directory->parent.lock();
  // It was removed, and so was the one that it was in.
  return above == nullptr ? -ENOENT : 0;
}

int PathWalk::Enter(const Inode& link, const std::string& rest) {
  if (++links_ > kMostLinks) return -ELOOP;
  rest_ = link.target + rest;
  return 0;
}

}  // namespace weft::internal::machine
