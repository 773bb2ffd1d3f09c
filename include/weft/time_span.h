// TimeSpan: how Weft takes a length of time. Converts from an absl::Duration and from any std::chrono::duration.
//
//   co_await weft::Sleep(absl::Milliseconds(10));
//   co_await weft::WithTimeout(2s, Serve(stream));      // using namespace std::chrono_literals
//   weft::AwaitAll scope({.timeout = std::chrono::minutes(1)});
//
// A TimeSpan is an absl::Duration: it converts to one, and is kept as one. A length that an absl::Duration cannot hold
// is absl::InfiniteDuration(); a fraction of a quarter of a nanosecond is cut off. A plain number is no TimeSpan.
#ifndef WEFT_TIME_SPAN_H_
#define WEFT_TIME_SPAN_H_

#include "weft/internal/compiler.h"

#include <chrono>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"

namespace weft {

class TimeSpan {
 public:
  constexpr TimeSpan() noexcept = default;  // zero
  constexpr TimeSpan(absl::Duration duration) noexcept : duration_(duration) {}
  template <class Rep, class Period>
  TimeSpan(std::chrono::duration<Rep, Period> duration) noexcept : duration_(From(duration)) {}

  constexpr operator absl::Duration() const noexcept { return duration_; }

 private:
  template <class Rep, class Period>
  static absl::Duration From(std::chrono::duration<Rep, Period> duration) noexcept {
    if constexpr (std::is_integral_v<Rep>) {
      if (!std::in_range<int64_t>(duration.count())) return absl::InfiniteDuration();
      const auto count = static_cast<int64_t>(duration.count());
      if constexpr (std::is_same_v<Period, std::nano>) {
        return absl::Nanoseconds(count);
      } else if constexpr (std::is_same_v<Period, std::milli>) {
        return absl::Milliseconds(count);
      } else {
        return absl::Seconds(Period::num) * count / Period::den;
      }
    } else {
      return absl::Seconds(std::chrono::duration<double>(duration).count());
    }
  }

  absl::Duration duration_;
};

}  // namespace weft

#endif  // WEFT_TIME_SPAN_H_
