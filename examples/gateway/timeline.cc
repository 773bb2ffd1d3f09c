#include "examples/gateway/timeline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"

namespace gateway {
namespace {

double Milliseconds(int64_t ns) { return std::round(static_cast<double>(ns) / 1e4) / 100; }

char Digit(int carrier) { return "0123456789abcdefghijklmnopqrstuvwxyz+"[std::clamp(carrier, 0, 36)]; }

}  // namespace

void Timeline::Start(int64_t now_ns) {
  for (Event& event : events_) event.written.store(false, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  begin_ns_ = now_ns;
  recording_.store(true, std::memory_order_release);
}

void Timeline::Record(const weft::ext::ThreadEvent& event, bool mounted) noexcept {
  // acquire: pairs with the release in Start(), which has made room.
  if (event.name.empty() || !recording_.load(std::memory_order_acquire)) return;
  const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
  if (index >= kMaxEvents) return;
  Event& to = events_[index];
  to.thread = event.thread;
  to.time_ns = event.time_ns;
  to.carrier = event.carrier;
  to.mounted = mounted;
  to.name_length = static_cast<uint8_t>(std::min(event.name.size(), kMaxName));
  std::copy_n(event.name.begin(), to.name_length, to.name.begin());
  to.written.store(true, std::memory_order_release);
}

int Timeline::LastCarrier(uint64_t thread) const {
  for (size_t i = std::min(next_.load(std::memory_order_relaxed), kMaxEvents); i-- > 0;) {
    const Event& event = events_[i];
    if (event.written.load(std::memory_order_acquire) && event.thread == thread) return event.carrier;
  }
  return -1;
}

nlohmann::json Timeline::Stop(int64_t now_ns) {
  recording_.store(false, std::memory_order_relaxed);
  std::map<std::pair<std::string, uint64_t>, std::vector<const Event*>> threads;
  const size_t count = std::min(next_.load(std::memory_order_relaxed), kMaxEvents);
  for (size_t i = 0; i < count; ++i) {
    const Event& event = events_[i];
    if (!event.written.load(std::memory_order_acquire)) continue;  // a carrier is at it just now, too late to count
    threads[{std::string(event.name.data(), event.name_length), event.thread}].push_back(&event);
  }
  nlohmann::json drawn = nlohmann::json::array();
  for (auto& [key, events] : threads) {
    // Those of one thread were recorded in their order.
    std::sort(events.begin(), events.end());
    nlohmann::json stretches = nlohmann::json::array();
    for (size_t i = 0; i < events.size(); ++i) {
      if (!events[i]->mounted) continue;
      const bool ended = i + 1 < events.size() && !events[i + 1]->mounted;
      const int64_t end_ns = ended ? events[i + 1]->time_ns : now_ns;
      stretches.push_back({{"carrier", events[i]->carrier},
                           {"begin_ms", Milliseconds(events[i]->time_ns - begin_ns_)},
                           {"length_ms", Milliseconds(end_ns - events[i]->time_ns)}});
    }
    drawn.push_back({{"thread", key.first}, {"stretches", std::move(stretches)}});
  }
  return drawn;
}

std::vector<std::string> Timeline::Draw(const nlohmann::json& threads, int columns) {
  double end_ms = 1;
  for (const auto& thread : threads) {
    for (const auto& stretch : thread["stretches"]) {
      end_ms = std::max(end_ms, stretch["begin_ms"].get<double>() + stretch["length_ms"].get<double>());
    }
  }
  const double column_ms = end_ms / columns;
  std::vector<std::string> lines = {absl::StrFormat(
      "one column is %.0f ms; a digit: mounted on that carrier; then each stretch as carrier@begin+length in ms",
      column_ms)};
  for (const auto& thread : threads) {
    std::string picture(static_cast<size_t>(columns), ' ');
    std::string list;
    size_t at = picture.size();
    for (const auto& stretch : thread["stretches"]) {
      const int carrier = stretch["carrier"];
      const double begin_ms = stretch["begin_ms"];
      const double length_ms = stretch["length_ms"];
      const auto column = [&](double ms) {
        return std::min(static_cast<size_t>(std::max(ms, 0.0) / column_ms), picture.size() - 1);
      };
      const size_t first = column(begin_ms);
      const size_t last = column(begin_ms + length_ms);
      if (at < first)
        std::fill(picture.begin() + static_cast<ptrdiff_t>(at), picture.begin() + static_cast<ptrdiff_t>(first), '.');
      std::fill(picture.begin() + static_cast<ptrdiff_t>(first), picture.begin() + static_cast<ptrdiff_t>(last) + 1,
                Digit(carrier));
      at = last + 1;
      absl::StrAppendFormat(&list, " %d@%.2f+%.2f", carrier, begin_ms, length_ms);
    }
    lines.push_back(absl::StrFormat("%-9s |%s|%s", thread["thread"].get<std::string>(), picture, list));
  }
  return lines;
}

}  // namespace gateway
