// Layer testing. How does the machine tell which descriptors are ready?
//
// epoll(7), level- and edge-triggered. An object tells its watchers whenever it becomes ready for something, also if it
// was before. That triggers its entry here. A Wait() gives out the entries that are triggered, in an order by chance,
// with what they are ready for by then.
#ifndef WEFT_LIB_TESTING_MACHINE_EPOLL_SET_H_
#define WEFT_LIB_TESTING_MACHINE_EPOLL_SET_H_

#include <sys/epoll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

class EpollSet final : public OpenObject, private Watcher {
 public:
  EpollSet() noexcept : OpenObject(0) {}
  ~EpollSet() override;

  std::string Describe() const override { return "an epoll"; }
  bool CanBeWatched() const noexcept override { return false; }

  // epoll_ctl(2): 0, or a negative errno.
  int Control(int operation, int fd, OpenObject& object, const epoll_event* event);
  // epoll_wait(2) with a timeout of 0.
  int Wait(epoll_event* events, int max, Chance& chance);

  // Has something happened since the last Wait()?
  bool triggered() const noexcept { return triggered_; }

 private:
  struct Entry {
    OpenObject* object = nullptr;
    epoll_event event = {};
    bool triggered = false;
  };

  void OnReady(const OpenObject& object, uint32_t ready) override;
  void OnGone(const OpenObject& object) noexcept override;
  static uint32_t Wanted(const Entry& entry) noexcept { return entry.event.events | EPOLLERR | EPOLLHUP; }
  void Trigger(Entry& entry, uint32_t ready) noexcept;
  bool Watches(const OpenObject& object) const noexcept;

  std::map<int, Entry> entries_;  // by the number of the descriptor
  bool triggered_ = false;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_EPOLL_SET_H_
