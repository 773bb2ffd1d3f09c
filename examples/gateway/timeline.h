// Where virtual threads were mounted, and when: a SchedulingObserver that records, and a picture of it in text.
//
//   call-07   |0..........1          |  0@0.2+0.1  1@935.1+0.2
//
// There is one line per virtual thread: dots while it lives, and the carrier's digit where it is mounted. Then comes
// every stretch, written carrier@begin+length in ms.
#ifndef WEFT_EXAMPLES_GATEWAY_TIMELINE_H_
#define WEFT_EXAMPLES_GATEWAY_TIMELINE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "weft/ext/scheduling_observer.h"

namespace gateway {

class Timeline final : public weft::ext::SchedulingObserver {
 public:
  // Threads with a name are recorded, others not. Between Start() and Stop(); both on one thread, repeatedly if need
  // be.
  void Start(int64_t now_ns);
  // [{"thread": "call-07", "stretches": [{"carrier": 0, "begin_ms": 0.2, "length_ms": 0.1}, ...]}, ...], by name.
  nlohmann::json Stop(int64_t now_ns);

  // The carrier that the thread was last mounted on, or -1. While recording; any thread.
  int LastCarrier(uint64_t thread) const;
  // Stop(), and nobody wants to see it.
  void Abandon() { recording_.store(false, std::memory_order_relaxed); }

  // The picture of what Stop() gave, `columns` wide.
  static std::vector<std::string> Draw(const nlohmann::json& threads, int columns);

  void OnMount(const weft::ext::ThreadEvent& event) noexcept override { Record(event, true); }
  void OnUnmount(const weft::ext::ThreadEvent& event) noexcept override { Record(event, false); }

 private:
  static constexpr size_t kMaxEvents = 8192;
  static constexpr size_t kMaxName = 16;

  struct Event {
    uint64_t thread;
    int64_t time_ns;
    int carrier;
    bool mounted;
    uint8_t name_length;
    std::array<char, kMaxName> name;
    std::atomic<bool> written = false;  // release, when the rest is; acquire by Stop()
  };

  void Record(const weft::ext::ThreadEvent& event, bool mounted) noexcept;

  std::atomic<bool> recording_ = false;
  std::atomic<size_t> next_ = 0;
  int64_t begin_ns_ = 0;
  std::vector<Event> events_ = std::vector<Event>(kMaxEvents);  // those beyond are dropped
};

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_TIMELINE_H_
