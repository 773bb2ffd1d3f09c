#include "lib/sync/lock_order.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <new>
#include <source_location>
#include <string_view>
#include <utility>

#include "lib/base/list.h"
#include "lib/os/global_lock.h"
#include "lib/sync/lock_state.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_key.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {
namespace {

using Steps = LockSteps<ThreadBlock>;
using State = LockState<ThreadBlock>;

constexpr int kMostLocks = 65'536;
constexpr int kMostEdges = 65'536;
constexpr size_t kBuckets = 1024;  // 64 locks each, if there are as many as there may be

struct FromTag;
struct ToTag;
struct ByLockTag;
struct ByHolderTag;
struct KnownLock;

// A thread that held one lock has waited for another one.
struct Edge : ListNode<FromTag>, ListNode<ToTag> {
  KnownLock* from;
  KnownLock* to;
  std::source_location held_since;
  std::source_location wanted_at;
  bool reported = false;
};

struct KnownLock : ListNode<ByLockTag>, ListNode<ByHolderTag> {
  State* lock;
  ThreadKey holder;  // the last one
  List<Edge, FromTag> out;
  List<Edge, ToTag> in;

  // ---- Of a search.
  uint64_t search = 0;  // the last that has come here
  const Edge* way = nullptr;
  KnownLock* queued = nullptr;  // the next to look at
};

// One line, that needs no memory.
class Line {
 public:
  void Clear() noexcept { length_ = 0; }
  [[gnu::format(printf, 2, 3)]] void Add(const char* format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    const int added = std::vsnprintf(text_.data() + length_, text_.size() - length_, format, arguments);
    va_end(arguments);
    if (added > 0) length_ = std::min(length_ + static_cast<size_t>(added), text_.size() - 1);
  }
  void AddPlace(const std::source_location& where) noexcept { Add("%s:%u", where.file_name(), where.line()); }
  // One call, so that the lines of two threads do not mix.
  void Print() noexcept {
    text_[length_] = '\n';
    std::fwrite(text_.data(), 1, length_ + 1, stderr);
  }

 private:
  std::array<char, 4096> text_;  // 20 places with long names
  size_t length_ = 0;
};

const char* NameOf(const State& lock) noexcept {
  switch (lock.kind) {
    case LockKind::kMutex: return "Mutex";
    case LockKind::kRecursiveMutex: return "RecursiveMutex";
    case LockKind::kSharedMutex: return "SharedMutex";
    case LockKind::kSemaphore: break;
  }
  return "Semaphore";
}

size_t BucketOf(const void* address, uint64_t id) noexcept {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;  // 2^64 / phi
  return ((reinterpret_cast<uintptr_t>(address) ^ (id << 32)) * kGolden) >> (64 - 10);
}
static_assert(kBuckets == 1 << 10);

// Where the thread has locked it; line() is 0 if it does not hold it, or has moved its guard.
std::source_location HeldSince(State& lock, const ThreadKey& thread) noexcept {
  std::lock_guard guard(lock.waiters.lock);
  const LockHolder holder = Steps::HolderOf(lock);
  return holder.thread == thread ? holder.since : std::source_location();
}

// What is known. Guarded by `table_lock`; made by the first note, and never destroyed.
class Table {
 public:
  // Makes the edges to `lock` from those that `thread` holds. True: `line` says of the last one that it inverts the
  // order; call it again, for there may be more.
  bool AddEdges(State& lock, std::source_location where, const ThreadKey& thread, const ThreadBlock* self,
                Line& line) noexcept {
    KnownLock* const wanted = FindOrAdd(lock);
    if (wanted == nullptr) return false;
    auto& held = by_holder_[BucketOf(thread.address, thread.id)];
    for (KnownLock *from = held.front(), *next; from != nullptr; from = next) {
      next = held.Next(from);
      if (from == wanted || from->holder != thread) continue;
      const std::source_location since = HeldSince(*from->lock, thread);
      if (since.line() == 0) {
        ByHolder::Remove(from);  // until it has it again
        continue;
      }
      if (HasEdge(*from, *wanted)) continue;
      Edge* const edge = AddEdge(*from, *wanted);
      if (edge == nullptr) return false;
      edge->held_since = since;
      edge->wanted_at = where;
      if (!HasWay(*wanted, *from)) continue;
      edge->reported = true;
      const Edge& back = *wanted->way;
      if (back.to == from && back.reported) continue;  // the same two
      Report(*edge, self, line);
      return true;
    }
    return false;
  }

  void SetHolder(State& lock, const ThreadKey& thread) noexcept {
    KnownLock* const held = FindOrAdd(lock);
    if (held == nullptr) return;
    if (held->ListNode<ByHolderTag>::linked()) ByHolder::Remove(held);
    held->holder = thread;
    by_holder_[BucketOf(thread.address, thread.id)].PushFront(held);
  }

  // In the child of a fork. What another thread had locked then looks as if it were held for ever, and this table looks
  // into each lock that it knows.
  Table* Keep(Table* inherited) noexcept {
    inherited_ = inherited;
    return this;
  }

  void Forget(const State& lock) noexcept {
    KnownLock* const known = Find(lock);
    if (known == nullptr) return;
    while (Edge* const edge = known->out.front()) Drop(*edge);
    while (Edge* const edge = known->in.front()) Drop(*edge);
    if (known->ListNode<ByHolderTag>::linked()) ByHolder::Remove(known);
    ByLock::Remove(known);
    delete known;
    --locks_;
  }

 private:
  using ByLock = List<KnownLock, ByLockTag>;
  using ByHolder = List<KnownLock, ByHolderTag>;
  using Out = List<Edge, FromTag>;
  using In = List<Edge, ToTag>;

  KnownLock* Find(const State& lock) noexcept {
    ByLock& bucket = by_lock_[BucketOf(&lock, 0)];
    for (KnownLock* known = bucket.front(); known != nullptr; known = bucket.Next(known)) {
      if (known->lock == &lock) return known;
    }
    return nullptr;
  }
  // Null: there is no room.
  KnownLock* FindOrAdd(State& lock) noexcept {
    KnownLock* known = Find(lock);
    if (known != nullptr || locks_ == kMostLocks) return known;
    known = new (std::nothrow) KnownLock;
    if (known == nullptr) return nullptr;
    known->lock = &lock;
    by_lock_[BucketOf(&lock, 0)].PushBack(known);
    ++locks_;
    return known;
  }

  // Looks through the shorter of the two lists.
  static bool HasEdge(KnownLock& from, KnownLock& to) noexcept {
    Edge* out = from.out.front();
    Edge* in = to.in.front();
    for (; out != nullptr && in != nullptr; out = from.out.Next(out), in = to.in.Next(in)) {
      if (out->to == &to || in->from == &from) return true;
    }
    return false;
  }
  // Null: there is no room.
  Edge* AddEdge(KnownLock& from, KnownLock& to) noexcept {
    if (edges_ == kMostEdges) return nullptr;
    Edge* const edge = new (std::nothrow) Edge;
    if (edge == nullptr) return nullptr;
    edge->from = &from;
    edge->to = &to;
    from.out.PushBack(edge);
    to.in.PushBack(edge);
    ++edges_;
    return edge;
  }
  void Drop(Edge& edge) noexcept {
    Out::Remove(&edge);
    In::Remove(&edge);
    delete &edge;
    --edges_;
  }

  // Breadth first, from `to` against the edges, so that `way` of each lock leads on to `to` by as few as can be.
  bool HasWay(KnownLock& from, KnownLock& to) noexcept {
    ++searches_;
    to.search = searches_;
    to.queued = nullptr;
    KnownLock* last = &to;
    for (KnownLock* at = &to; at != nullptr; at = at->queued) {
      for (Edge* edge = at->in.front(); edge != nullptr; edge = at->in.Next(edge)) {
        KnownLock& before = *edge->from;
        if (before.search == searches_) continue;
        before.search = searches_;
        before.way = edge;
        if (&before == &from) return true;
        before.queued = nullptr;
        last->queued = &before;
        last = &before;
      }
    }
    return false;
  }

  static void AddEdgeTo(Line& line, const Edge& edge, int from, int to) noexcept {
    line.Add(" %s %d was locked at ", NameOf(*edge.to->lock), to);
    line.AddPlace(edge.wanted_at);
    line.Add(" while %s %d was held, locked at ", NameOf(*edge.from->lock), from);
    line.AddPlace(edge.held_since);
  }
  // The way from `edge.to` to `edge.from` was just found.
  static void Report(const Edge& edge, const ThreadBlock* self, Line& line) noexcept {
    line.Clear();
    line.Add("weft: inverted lock order, which can be a deadlock: ");
    if (self == nullptr) {
      line.Add("an OS thread");
    } else {
      const std::string_view name = self->DisplayName();
      line.Add("VirtualThread[#%llu%s%.*s]", static_cast<unsigned long long>(self->id), name.empty() ? "" : ",",
               static_cast<int>(name.size()), name.data());
    }
    line.Add(" locks %s 2 at ", NameOf(*edge.to->lock));
    line.AddPlace(edge.wanted_at);
    line.Add(" while it holds %s 1, locked at ", NameOf(*edge.from->lock));
    line.AddPlace(edge.held_since);
    line.Add("; before,");
    int number = 2;
    for (const KnownLock* at = edge.to; at != edge.from; at = at->way->to, ++number) {
      if (number > 2) line.Add(", and");
      AddEdgeTo(line, *at->way, number, at->way->to == edge.from ? 1 : number + 1);
    }
  }

  Table* inherited_ = nullptr;  // kept where leak checkers find it
  std::array<ByLock, kBuckets> by_lock_;
  std::array<ByHolder, kBuckets> by_holder_;
  int locks_ = 0;
  int edges_ = 0;
  uint64_t searches_ = 0;
};

constinit GlobalLock table_lock;
constinit Table* table = nullptr;            // guarded by table_lock
constinit Table* inherited_tables = nullptr;  // written in the child of a fork, while it has one thread

// A child begins without a table. It may use its own locks, and those that nobody held.
void SetAsideInherited() noexcept {
  if (table != nullptr) inherited_tables = std::exchange(table, nullptr)->Keep(inherited_tables);
}

// Under table_lock. Null: there is no memory.
Table* TheTable() noexcept {
  static constinit bool registered = false;
  if (!registered) registered = ::pthread_atfork(nullptr, nullptr, &SetAsideInherited) == 0;
  if (table == nullptr && registered) table = new (std::nothrow) Table;
  return table;
}

}  // namespace

void NoteWanted(LockState<ThreadBlock>& lock, std::source_location where, const ThreadBlock* self) noexcept {
  const ThreadKey thread = Steps::KeyOf(self);
  for (Line line;; line.Print()) {
    std::lock_guard guard(table_lock);
    Table* const known = TheTable();
    if (known == nullptr || !known->AddEdges(lock, where, thread, self, line)) return;
  }
}

void NoteHeld(LockState<ThreadBlock>& lock, const ThreadBlock* self) noexcept {
  std::lock_guard guard(table_lock);
  if (Table* const known = TheTable()) known->SetHolder(lock, Steps::KeyOf(self));
}

void ForgetOrderOf(LockState<ThreadBlock>& lock) noexcept {
  std::lock_guard guard(table_lock);
  if (table != nullptr) table->Forget(lock);
}

}  // namespace weft::internal
