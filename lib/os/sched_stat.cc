#include "lib/os/sched_stat.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

namespace weft::internal {
namespace {

using Text = std::array<char, 256>;

// The beginning of /proc/self/task/`thread`/`name`, empty if there is none. Not through Sys(): a failure needs no
// handling.
std::string_view ReadOf(pid_t thread, const char* name, Text& text) noexcept {
  std::snprintf(text.data(), text.size(), "/proc/self/task/%d/%s", thread, name);
  const int fd = ::open(text.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t bytes = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  if (bytes <= 0) return {};
  text[static_cast<size_t>(bytes)] = '\0';
  return {text.data(), static_cast<size_t>(bytes)};
}

// The clock of pthread_getcpuclockid(), which wants a pthread_t. (clock_getres(2), MAKE_THREAD_CPUCLOCK of the kernel)
// What /proc says of the time is as of the last tick.
std::optional<int64_t> RanNanos(pid_t thread) noexcept {
  constexpr unsigned kPerThread = 4, kScheduled = 2;
  const auto clock = static_cast<clockid_t>(~static_cast<unsigned>(thread) << 3 | kPerThread | kScheduled);
  timespec ran = {};
  if (::clock_gettime(clock, &ran) != 0) return std::nullopt;
  return ran.tv_sec * int64_t{1'000'000'000} + ran.tv_nsec;
}

std::optional<int64_t> WaitedNanos(pid_t thread) noexcept {
  Text text;
  int64_t ran_ns = 0, waited_ns = 0;
  if (ReadOf(thread, "schedstat", text).empty()) return std::nullopt;
  if (std::sscanf(text.data(), "%" SCNd64 " %" SCNd64, &ran_ns, &waited_ns) != 2) return std::nullopt;
  return waited_ns;
}

// "12 (its name) R ...": the name may have anything in it, but is short.
std::optional<bool> IsRunnable(pid_t thread) noexcept {
  Text text;
  const std::string_view stat = ReadOf(thread, "stat", text);
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  return stat.substr(name_end).starts_with(") R");
}

}  // namespace

std::optional<ProcessorUse> UseOfProcessors(pid_t thread) noexcept {
  const std::optional<int64_t> ran_ns = RanNanos(thread);
  const std::optional<int64_t> waited_ns = WaitedNanos(thread);
  const std::optional<bool> runnable = IsRunnable(thread);
  if (!ran_ns.has_value() || !waited_ns.has_value() || !runnable.has_value()) return std::nullopt;
  return ProcessorUse{.ran_ns = *ran_ns, .waited_ns = *waited_ns, .runnable = *runnable};
}

}  // namespace weft::internal
