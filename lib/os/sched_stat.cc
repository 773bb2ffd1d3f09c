#include "lib/os/sched_stat.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
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
int64_t RanNanos(pid_t thread) noexcept {
  constexpr unsigned kPerThread = 4, kScheduled = 2;
  const auto clock = static_cast<clockid_t>(~static_cast<unsigned>(thread) << 3 | kPerThread | kScheduled);
  timespec ran = {};
  if (::clock_gettime(clock, &ran) != 0) return 0;
  return ran.tv_sec * int64_t{1'000'000'000} + ran.tv_nsec;
}

int64_t WaitedNanos(pid_t thread) noexcept {
  Text text;
  int64_t ran_ns = 0, waited_ns = 0;
  if (ReadOf(thread, "schedstat", text).empty()) return 0;
  return std::sscanf(text.data(), "%" SCNd64 " %" SCNd64, &ran_ns, &waited_ns) == 2 ? waited_ns : 0;
}

// "12 (its name) R ...": the name may have anything in it, but is short.
bool IsRunnable(pid_t thread) noexcept {
  Text text;
  const std::string_view stat = ReadOf(thread, "stat", text);
  const size_t name_end = stat.rfind(')');
  return name_end != std::string_view::npos && stat.substr(name_end).starts_with(") R");
}

}  // namespace

ProcessorUse UseOfProcessors(pid_t thread) noexcept {
  return {.ran_ns = RanNanos(thread), .waited_ns = WaitedNanos(thread), .runnable = IsRunnable(thread)};
}

}  // namespace weft::internal
