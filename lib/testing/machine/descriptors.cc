#include "lib/testing/machine/descriptors.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::internal::machine {

int Descriptors::Add(std::shared_ptr<OpenObject> object, bool close_on_exec) {
  if (!HasRoom()) return -EMFILE;
  if (free_.empty()) {
    free_.insert(open_.size());
    open_.emplace_back();
  }
  const size_t index = *free_.begin();
  free_.erase(free_.begin());
  open_[index] = {.object = std::move(object), .close_on_exec = close_on_exec};
  return kFirst + static_cast<int>(index);
}

OpenObject* Descriptors::Find(int fd) const noexcept {
  return IsOurs(fd) && Index(fd) < open_.size() ? open_[Index(fd)].object.get() : nullptr;
}

std::shared_ptr<OpenObject> Descriptors::Share(int fd) const noexcept {
  return Find(fd) == nullptr ? nullptr : open_[Index(fd)].object;
}

int Descriptors::Close(int fd) {
  if (Find(fd) == nullptr) return -EBADF;
  // Last, because its end may close what a message carries.
  const std::shared_ptr<OpenObject> object = std::move(open_[Index(fd)].object);
  open_[Index(fd)] = {};
  free_.insert(Index(fd));
  return 0;
}

std::string Descriptors::Describe() const {
  std::string text;
  for (size_t i = 0; i < open_.size(); ++i) {
    if (open_[i].object == nullptr) continue;
    absl::StrAppend(&text, text.empty() ? "" : "\n", kFirst + static_cast<int>(i), ": ", open_[i].object->Describe());
  }
  return text;
}

}  // namespace weft::internal::machine
