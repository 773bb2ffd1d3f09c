// Payloads. Counted knows how many of it there are, and takes note of a life that ends twice. Ticket can only be moved.
#ifndef WEFT_TESTS_SUPPORT_COUNTED_H_
#define WEFT_TESTS_SUPPORT_COUNTED_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace weft::testing {

class Counted {
 public:
  explicit Counted(int value = 0) noexcept : value_(value) { Begin(); }
  Counted(const Counted& other) noexcept : value_(other.value_) { Begin(); }
  Counted(Counted&& other) noexcept : value_(std::exchange(other.value_, kMovedFrom)) { Begin(); }
  Counted& operator=(const Counted& other) noexcept {
    value_ = other.value_;
    return *this;
  }
  Counted& operator=(Counted&& other) noexcept {
    value_ = std::exchange(other.value_, kMovedFrom);
    return *this;
  }
  ~Counted() {
    if (self_ != this) bad.fetch_add(1);
    self_ = nullptr;
    alive.fetch_sub(1);
  }

  int value() const noexcept { return value_; }

  static constexpr int kMovedFrom = -1000;

  static inline std::atomic<int64_t> alive{0};
  static inline std::atomic<int64_t> made{0};
  static inline std::atomic<int64_t> bad{0};  // destroyed where none lived

 private:
  void Begin() noexcept {
    self_ = this;
    alive.fetch_add(1);
    made.fetch_add(1);
  }

  int value_;
  Counted* self_;
};

// Move-only, without a default constructor.
class Ticket {
 public:
  explicit Ticket(int number) : number_(std::make_unique<int>(number)) {}
  bool has_number() const { return number_ != nullptr; }
  int number() const { return *number_; }

 private:
  std::unique_ptr<int> number_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_COUNTED_H_
