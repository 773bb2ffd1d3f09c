#include "lib/testing/model/memory.h"

#include <algorithm>
#include <cstdint>

namespace weft::internal::model {

void Memory::Reset() {
  place_count_ = 0;
  cell_count_ = 0;
  order_ = View();
  order_hash_ = 0;
  for (int i = 0; i <= kMaxThreads; ++i) histories_[i] = static_cast<uint64_t>(i);
}

// Which stores the view knows.
uint64_t Memory::Ids(const View& view) const {
  uint64_t hash = 0;
  for (int i = 0; i < place_count_; ++i) hash = Mix(hash, places_[i].stores[view.at[i]].id);
  return hash;
}

void Memory::StartThreads() {
  for (int i = 0; i < kMaxThreads; ++i) {
    threads_[i] = ThreadRecord();
    threads_[i].now.clock(i) = 1;  // 0 is what the others know of it
  }
}

void Memory::Tick(int thread) {
  if (++threads_[thread].now.clock(thread) > kMaxClock) {
    Violate("thread %d releases more than %d times in one execution, which is the checker's limit", thread, kMaxClock);
  }
}

// ---- Atomics.

int Memory::Create(int thread, uint64_t value) {
  if (place_count_ == kMaxPlaces)
    Violate("more than %d atomics in one execution, which is the checker's limit", kMaxPlaces);
  PlaceRecord& record = places_[place_count_];
  record.count = 1;
  record.retired = false;
  record.creator = static_cast<int8_t>(thread);
  record.created = thread == kNobody ? 0 : threads_[thread].now.clock(thread);
  for (uint8_t& used : record.used) used = 0;
  const int historian = thread == kNobody ? kMaxThreads : thread;
  Note(historian, static_cast<uint64_t>(place_count_));
  record.stores[0] = {value, histories_[historian], false, View()};
  return place_count_++;
}

Memory::PlaceRecord& Memory::Use(int thread, int place) {
  PlaceRecord& record = places_[place];
  if (record.retired) Violate("an atomic is used after the end of its life");
  const ThreadRecord& user = threads_[thread];
  if (record.creator != kNobody && user.now.clock(record.creator) < record.created) {
    Violate("data race: thread %d uses an atomic whose creation by thread %d is not ordered before", thread,
            record.creator);
  }
  record.used[thread] = user.now.clock(thread);
  return record;
}

void Memory::Retire(int thread, int place) {
  if (thread == kNobody) return;
  PlaceRecord& record = Use(thread, place);
  for (int i = 0; i < kMaxThreads; ++i) {
    if (record.used[i] > threads_[thread].now.clock(i)) {
      Violate("data race: thread %d ends the life of an atomic, and a use of it by thread %d is not ordered before",
              thread, i);
    }
  }
  record.retired = true;
}

int Memory::Floor(int thread, int place, Order order) const {
  const int known = threads_[thread].now.at[place];
  return order == Order::seq_cst ? std::max<int>(known, order_.at[place]) : known;
}

// The thread has read the store at `position`.
void Memory::TakeUp(int thread, int place, int position, Order order) {
  ThreadRecord& reader = threads_[thread];
  const StoreRecord& store = places_[place].stores[position];
  reader.now.at[place] = static_cast<uint8_t>(position);
  if (Acquires(order)) {
    reader.now.Join(store.released);
  } else {
    reader.acquired.Join(store.released);
  }
  if (order == Order::seq_cst) {
    order_.at[place] = std::max<uint8_t>(order_.at[place], static_cast<uint8_t>(position));
    order_hash_ = Ids(order_);
  }
  Note(thread, store.id);
  LookAt(thread, place);
  last_position_ = position;
}

uint64_t Memory::Load(int thread, int place, Order order) {
  if (thread == kNobody) return Latest(place);
  PlaceRecord& record = Use(thread, place);
  const int newest = record.count - 1;
  int floor = Floor(thread, place, order);
  ThreadRecord& reader = threads_[thread];
  if ((reader.waits_on >> place & 1) != 0) {
    reader.waits_on &= ~(uint32_t{1} << place);
    floor = std::max(floor, std::min(reader.now.at[place] + 1, newest));
  }
  const int position = newest - choices_.Choose(newest - floor + 1);
  TakeUp(thread, place, position, order);
  return record.stores[position].value;
}

// Makes a hole in the modification order. Whoever knew a later store knows it under its new number.
void Memory::MakeRoom(int place, int position) {
  const auto shift = [place, position](View& view) {
    if (view.at[place] >= position) ++view.at[place];
  };
  PlaceRecord& record = places_[place];
  std::copy_backward(record.stores + position, record.stores + record.count, record.stores + record.count + 1);
  shift(order_);
  for (ThreadRecord& thread : threads_) {
    shift(thread.now);
    shift(thread.acquired);
    shift(thread.released);
    shift(thread.light);
  }
  for (int i = 0; i < place_count_; ++i) {
    for (int j = 0; j < places_[i].count + (i == place); ++j) {
      if (i != place || j != position) shift(places_[i].stores[j].released);
    }
  }
}

void Memory::Put(int thread, int place, int position, uint64_t value, Order order, bool modifies) {
  PlaceRecord& record = places_[place];
  if (record.count == kMaxStores)
    Violate("more than %d stores to one atomic, which is the checker's limit", kMaxStores);
  if (position < record.count) [[unlikely]]
    MakeRoom(place, position);
  ThreadRecord& writer = threads_[thread];
  writer.now.at[place] = static_cast<uint8_t>(position);
  StoreRecord& store = record.stores[position];
  store.value = value;
  store.modifies = modifies;
  store.released = Releases(order) ? writer.now : writer.released;
  store.released.at[place] = static_cast<uint8_t>(position);
  if (modifies) store.released.Join(record.stores[position - 1].released);
  ++record.count;
  // Its neighbours, for where it lies in modification order.
  Note(thread, record.stores[position - 1].id);
  if (position + 1 < record.count) Note(thread, record.stores[position + 1].id);
  store.id = histories_[thread];
  if (order == Order::seq_cst) {
    order_.at[place] = static_cast<uint8_t>(position);
    order_hash_ = Ids(order_);
  }
  if (Releases(order)) Tick(thread);
  last_position_ = position;
}

void Memory::Store(int thread, int place, uint64_t value, Order order) {
  if (thread == kNobody) {
    PlaceRecord& record = places_[place];
    record.stores[record.count - 1].value = value;
    return;
  }
  PlaceRecord& record = Use(thread, place);
  // The store may come to lie before stores of others that it need not know of; not between an RMW and what that has
  // read.
  int position = record.count;
  const int first = Floor(thread, place, order) + 1;
  if (first < position) {
    int possible[kMaxStores];
    int count = 0;
    for (int i = position; i >= first; --i) {
      if (i == record.count || !record.stores[i].modifies) possible[count++] = i;
    }
    position = possible[choices_.Choose(count)];
  }
  Put(thread, place, position, value, order, /*modifies=*/false);
}

// Which store an RMW reads.
int Memory::ChooseModified(int thread, int place, Order order) {
  if (thread == kNobody) return places_[place].count - 1;
  const PlaceRecord& record = Use(thread, place);
  const int newest = record.count - 1;
  const int floor = Floor(thread, place, order);
  if (floor == newest) return newest;
  int possible[kMaxStores];
  int count = 0;
  for (int i = newest; i >= floor; --i) {
    if (i == newest || !record.stores[i + 1].modifies) possible[count++] = i;
  }
  return possible[choices_.Choose(count)];
}

bool Memory::CompareExchange(int thread, int place, uint64_t& expected, uint64_t desired, Order success, Order failure,
                             bool may_fail) {
  if (thread == kNobody) {
    if (Latest(place) != expected) {
      expected = Latest(place);
      return false;
    }
    Store(kNobody, place, desired, success);
    return true;
  }
  const PlaceRecord& record = Use(thread, place);
  const int newest = record.count - 1;
  const int success_floor = Floor(thread, place, success);
  const int failure_floor = Floor(thread, place, failure);
  // One that reads what it expects swaps, if nobody else has; one that reads something else fails.
  int possible[2 * kMaxStores];
  int count = 0;
  for (int i = newest; i >= std::min(success_floor, failure_floor); --i) {
    if (record.stores[i].value == expected) {
      if (i >= success_floor && (i == newest || !record.stores[i + 1].modifies)) possible[count++] = i;
      if (may_fail && i >= failure_floor) possible[count++] = ~i;
    } else if (i >= failure_floor) {
      possible[count++] = ~i;
    }
  }
  const int chosen = possible[choices_.Choose(count)];
  if (chosen < 0) {
    TakeUp(thread, place, ~chosen, failure);
    Note(thread, record.stores[~chosen].value == expected);  // for no reason
    expected = record.stores[~chosen].value;
    return false;
  }
  TakeUp(thread, place, chosen, success);
  Put(thread, place, chosen + 1, desired, success, /*modifies=*/true);
  return true;
}

// ---- Fences.

void Memory::Fence(int thread, Order order) {
  if (thread == kNobody) return;
  ThreadRecord& record = threads_[thread];
  record.light = record.now;
  if (Acquires(order)) record.now.Join(record.acquired);
  if (order == Order::seq_cst) {
    record.now.JoinPlaces(order_);
    order_.JoinPlaces(record.now);
    order_hash_ = Ids(order_);
    Note(thread, Ids(record.now));
  }
  if (Releases(order)) {
    record.released = record.now;
    Tick(thread);
  }
}

void Memory::ForceFence(int thread) {
  ThreadRecord& record = threads_[thread];
  order_.JoinPlaces(record.light);
  record.now.JoinPlaces(order_);
  order_hash_ = Ids(order_);
  Note(thread, Ids(record.now));
}

// ---- Plain variables.

int Memory::NewCell() {
  if (cell_count_ == kMaxCells) Violate("more than %d cells in one execution, which is the checker's limit", kMaxCells);
  cells_[cell_count_] = CellRecord{kNobody, 0, {}};
  return cell_count_++;
}

void Memory::ReadCell(int thread, int cell) {
  if (thread == kNobody) return;
  CellRecord& record = cells_[cell];
  const View& now = threads_[thread].now;
  if (record.writer != kNobody && now.clock(record.writer) < record.written) {
    Violate("data race: thread %d reads a cell, and a write by thread %d is not ordered before", thread, record.writer);
  }
  record.read[thread] = now.clock(thread);
}

void Memory::WriteCell(int thread, int cell) {
  CellRecord& record = cells_[cell];
  if (thread == kNobody) return;
  const View& now = threads_[thread].now;
  if (record.writer != kNobody && now.clock(record.writer) < record.written) {
    Violate("data race: thread %d writes a cell, and a write by thread %d is not ordered before", thread,
            record.writer);
  }
  for (int i = 0; i < kMaxThreads; ++i) {
    if (record.read[i] > now.clock(i)) {
      Violate("data race: thread %d writes a cell, and a read by thread %d is not ordered before", thread, i);
    }
  }
  record.writer = static_cast<int8_t>(thread);
  record.written = now.clock(thread);
}

// ---- Waiting in a loop.

void Memory::Relax(int thread) {
  ThreadRecord& record = threads_[thread];
  record.waits_on |= record.looked_at;
  record.looked_at = 0;
}

bool Memory::HasNews(int thread) const {
  const ThreadRecord& record = threads_[thread];
  if (record.waits_on == 0) return true;
  for (uint32_t left = record.waits_on; left != 0; left &= left - 1) {
    const int place = std::countr_zero(left);
    if (record.now.at[place] + 1 < places_[place].count) return true;
  }
  return false;
}

}  // namespace weft::internal::model
