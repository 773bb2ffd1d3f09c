#include "lib/testing/machine/epoll_set.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace weft::internal::machine {

EpollSet::~EpollSet() {
  while (!entries_.empty()) {
    OpenObject* const object = entries_.begin()->second.object;
    entries_.erase(entries_.begin());
    if (!Watches(*object)) object->RemoveWatcher(*this);
  }
}

bool EpollSet::Watches(const OpenObject& object) const noexcept {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&object](const auto& entry) { return entry.second.object == &object; });
}

int EpollSet::Control(int operation, int fd, OpenObject& object, const epoll_event* event) {
  if (!object.CanBeWatched()) return -EPERM;
  const auto found = entries_.find(fd);
  const bool there = found != entries_.end() && found->second.object == &object;
  if (operation == EPOLL_CTL_ADD ? there : !there) return operation == EPOLL_CTL_ADD ? -EEXIST : -ENOENT;
  if (operation == EPOLL_CTL_DEL) {
    entries_.erase(found);
    if (!Watches(object)) object.RemoveWatcher(*this);
    return 0;
  }
  if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD) return -EINVAL;
  if (operation == EPOLL_CTL_ADD && !Watches(object)) object.AddWatcher(*this);
  Entry& entry = entries_[fd];
  entry = {.object = &object, .event = *event, .triggered = false};
  Trigger(entry, object.Readiness());
  return 0;
}

void EpollSet::Trigger(Entry& entry, uint32_t ready) noexcept {
  if ((ready & Wanted(entry)) == 0) return;
  entry.triggered = true;
  triggered_ = true;
}

void EpollSet::OnReady(const OpenObject& object, uint32_t ready) {
  for (auto& [fd, entry] : entries_) {
    if (entry.object == &object) Trigger(entry, ready);
  }
}

void EpollSet::OnGone(const OpenObject& object) noexcept {
  std::erase_if(entries_, [&object](const auto& entry) { return entry.second.object == &object; });
}

int EpollSet::Wait(epoll_event* events, int max, Chance& chance) {
  std::vector<Entry*> triggered;
  for (auto& [fd, entry] : entries_) {
    if (entry.triggered) triggered.push_back(&entry);
  }
  int count = 0;
  while (!triggered.empty() && count < max) {
    std::swap(triggered[static_cast<size_t>(chance.Below(triggered.size()))], triggered.back());
    Entry& entry = *triggered.back();
    triggered.pop_back();
    const uint32_t ready = entry.object->Readiness() & Wanted(entry);
    entry.triggered = ready != 0 && (entry.event.events & EPOLLET) == 0;
    if (ready == 0) continue;
    events[count].events = ready;
    events[count].data = entry.event.data;
    ++count;
  }
  triggered_ = std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) { return entry.second.triggered; });
  return count;
}

}  // namespace weft::internal::machine
