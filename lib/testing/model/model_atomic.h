// What are `Atomic<T>` and the fences in a build with WEFT_MODEL?
//
// The other half of the seam in atomic.h: the same names, with each operation passed to the memory-model checker, which
// decides what it reads and which thread goes on after it. Only atomic.h includes this file. The checker itself is in
// lib/testing/model; this layer knows only the functions below, which it implements (operations.cc, sites.cc).
//
// An Atomic holds only its place in the checker's memory. So it can be used only in one execution (while
// model::Explore() runs a program): a global Atomic cannot be checked.
#ifndef WEFT_LIB_TESTING_MODEL_MODEL_ATOMIC_H_
#define WEFT_LIB_TESTING_MODEL_MODEL_ATOMIC_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

namespace weft::internal {

namespace model {

using Order = std::memory_order;
using Where = std::source_location;

// Where an atomic lies in the memory of the execution that runs. Its first use must be ordered after its creation.
enum class Place : uint32_t { kNone = 0 };

enum class Update : uint8_t { kExchange, kAdd, kAnd, kOr, kXor };

// Values are zero-extended; `mask` has the bits of the type.
Place Create(uint64_t value, Where where) noexcept;
uint64_t Load(Place place, Order order, Where where) noexcept;
void Store(Place place, uint64_t value, Order order, Where where) noexcept;
uint64_t Modify(Place place, Update update, uint64_t operand, uint64_t mask, Order order, Where where) noexcept;
bool CompareExchange(Place place, uint64_t& expected, uint64_t desired, bool weak, Order success, Order failure,
                     Where where) noexcept;
void StoreLoadFence(Order order, Where where) noexcept;
void LightFence(Order order, Where where) noexcept;
void HeavyFence(Order order, Where where) noexcept;
void Relax(Where where) noexcept;

// Plain variables: accesses that conflict and are not ordered are data races.
int NewCell() noexcept;
void ReadCell(int cell) noexcept;
void WriteCell(int cell) noexcept;

// ---- Sites: the orders that WEFT_ORDER labels. The checker weakens them one at a time.

struct Site {
  Site(const char* label, Order order) noexcept;
  Order Get() const noexcept {
    latest = this;
    return used;
  }

  const char* const label;
  const Order declared;
  Order used;
  Site* next;
  static inline constinit const Site* latest = nullptr;  // of the operation that comes; a trace shows its label
};

template <size_t size>
struct Label {
  consteval Label(const char (&literal)[size]) {
    for (size_t i = 0; i < size; ++i) text[i] = literal[i];
  }
  char text[size];
};

// One for each label and order, known before main() if any code that was compiled names it.
template <Label label, Order order>
struct SiteOf {
  static inline Site site{label.text, order};
};

}  // namespace model

#define WEFT_ORDER(label, order) (::weft::internal::model::SiteOf<label, order>::site.Get())

template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
  using Order = std::memory_order;
  using Where = std::source_location;

 public:
  using value_type = T;

  constexpr Atomic(T value = T(), Where where = Where::current()) noexcept : place_(Create(value, where)) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order order = Order::seq_cst, Where where = Where::current()) const noexcept {
    return Value(model::Load(place_, order, where));
  }
  void store(T value, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    model::Store(place_, Word(value), order, where);
  }
  T exchange(T value, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Modify(model::Update::kExchange, value, order, where);
  }
  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure,
                               Where where = Where::current()) noexcept {
    return CompareExchange(expected, desired, false, success, failure, where);
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = Order::seq_cst,
                               Where where = Where::current()) noexcept {
    return CompareExchange(expected, desired, false, order, FailureOf(order), where);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure,
                             Where where = Where::current()) noexcept {
    return CompareExchange(expected, desired, true, success, failure, where);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = Order::seq_cst,
                             Where where = Where::current()) noexcept {
    return CompareExchange(expected, desired, true, order, FailureOf(order), where);
  }
  T fetch_add(T operand, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Modify(model::Update::kAdd, operand, order, where);
  }
  T fetch_sub(T operand, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Value(model::Modify(place_, model::Update::kAdd, ~Word(operand) + 1, kMask, order, where));
  }
  T fetch_and(T operand, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Modify(model::Update::kAnd, operand, order, where);
  }
  T fetch_or(T operand, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Modify(model::Update::kOr, operand, order, where);
  }
  T fetch_xor(T operand, Order order = Order::seq_cst, Where where = Where::current()) noexcept {
    return Modify(model::Update::kXor, operand, order, where);
  }

  // For the checker and its tests.
  model::Place place() const noexcept { return place_; }

 private:
  static constexpr uint64_t kMask = ~uint64_t{0} >> (64 - 8 * sizeof(T));

  static constexpr model::Place Create(T value, Where where) noexcept {
    if (std::is_constant_evaluated()) return model::Place::kNone;
    return model::Create(Word(value), where);
  }
  static uint64_t Word(T value) noexcept {
    uint64_t word = 0;
    std::memcpy(&word, &value, sizeof(T));
    return word;
  }
  static T Value(uint64_t word) noexcept {
    T value;
    std::memcpy(&value, &word, sizeof(T));
    return value;
  }
  static constexpr Order FailureOf(Order order) noexcept {
    if (order == Order::acq_rel) return Order::acquire;
    return order == Order::release ? Order::relaxed : order;
  }
  T Modify(model::Update update, T operand, Order order, Where where) noexcept {
    return Value(model::Modify(place_, update, Word(operand), kMask, order, where));
  }
  bool CompareExchange(T& expected, T desired, bool weak, Order success, Order failure, Where where) noexcept {
    uint64_t word = Word(expected);
    const bool done = model::CompareExchange(place_, word, Word(desired), weak, success, failure, where);
    if (!done) expected = Value(word);
    return done;
  }

  const model::Place place_;
};

template <class T>
class Plain {
 public:
  Plain(T value = T()) noexcept : value_(value), cell_(model::NewCell()) {}
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  operator T() const noexcept {
    model::ReadCell(cell_);
    return value_;
  }
  Plain& operator=(T value) noexcept {
    model::WriteCell(cell_);
    value_ = value;
    return *this;
  }
  Plain& operator++() noexcept { return *this = *this + 1; }
  Plain& operator--() noexcept { return *this = *this - 1; }

 private:
  T value_;
  const int cell_;
};

inline void StoreLoadFence(std::memory_order order = std::memory_order_seq_cst,
                           std::source_location where = std::source_location::current()) noexcept {
  model::StoreLoadFence(order, where);
}
inline void LightFence(std::memory_order order = std::memory_order_seq_cst,
                       std::source_location where = std::source_location::current()) noexcept {
  model::LightFence(order, where);
}
// In the model the kernel has membarrier, so the two are one.
inline bool FencesAreAsymmetric() noexcept { return true; }
inline void BiasFence(std::memory_order order = std::memory_order_seq_cst,
                      std::source_location where = std::source_location::current()) noexcept {
  model::LightFence(order, where);
}
inline void HeavyFence(std::memory_order order = std::memory_order_seq_cst,
                       std::source_location where = std::source_location::current()) noexcept {
  model::HeavyFence(order, where);
}
inline void CpuRelax(std::source_location where = std::source_location::current()) noexcept { model::Relax(where); }

// Loops that only wait are cut short where every round is a choice.
inline constexpr bool kModelChecked = true;

}  // namespace weft::internal

#endif  // WEFT_LIB_TESTING_MODEL_MODEL_ATOMIC_H_
