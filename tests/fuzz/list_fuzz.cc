// The library's queues against the standard library's: lists whose nodes are the elements, queues of operations, the
// inject queue, and the ring that a channel keeps its values in.
//
// An input: which of them, and two bytes for each call.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <mutex>
#include <optional>

#include "lib/base/list.h"
#include "lib/channel/element_ring.h"
#include "lib/driver/operation_queue.h"
#include "lib/lockfree/inject_queue.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/counted.h"
#include "weft/channel/channel_awaiters.h"
#include "weft/internal/check.h"
#include "weft/internal/list.h"
#include "weft/internal/operation.h"

namespace weft::testing {
namespace {

constexpr size_t kElements = 12;

// ---- Lists: elements that are in two of them at once, by two nodes.

struct FirstTag;
struct SecondTag;
struct Element : internal::ListNode<FirstTag>, internal::ListNode<SecondTag> {};

// Two lists by the same node.
template <class Tag>
class ListPair {
 public:
  ~ListPair() {
    for (int which = 0; which < 2; ++which) {
      while (Element* const first = lists_[which].PopFront()) CheckFirst(which, first);
      WEFT_CHECK(models_[which].empty()) << "an element is missing";
    }
  }

  void Call(uint8_t call, int which, Element& element) {
    internal::List<Element, Tag>& list = lists_[which];
    std::list<Element*>& model = models_[which];
    const bool linked = static_cast<internal::ListNode<Tag>&>(element).linked();
    switch (call) {
      case 0:
        if (linked) return Remove(element);
        list.PushBack(&element);
        model.push_back(&element);
        break;
      case 1:
        if (linked) return Remove(element);
        list.PushFront(&element);
        model.push_front(&element);
        break;
      case 2: {
        Element* const first = list.PopFront();
        if (first == nullptr) {
          WEFT_CHECK(model.empty()) << "an element is missing";
        } else {
          CheckFirst(which, first);
        }
        break;
      }
      default:
        list.Splice(lists_[1 - which]);
        model.splice(model.end(), models_[1 - which]);
        break;
    }
  }

  void Check() {
    for (int which = 0; which < 2; ++which) {
      const std::list<Element*>& model = models_[which];
      WEFT_CHECK(lists_[which].empty() == model.empty());
      Element* at = lists_[which].front();
      for (Element* const each : model) {
        WEFT_CHECK(at == each) << "another element than in the model";
        WEFT_CHECK(static_cast<internal::ListNode<Tag>*>(at)->linked());
        at = lists_[which].Next(at);
      }
      WEFT_CHECK(at == nullptr) << "more elements than in the model";
    }
  }

 private:
  void Remove(Element& element) {
    internal::List<Element, Tag>::Remove(&element);
    WEFT_CHECK(!static_cast<internal::ListNode<Tag>&>(element).linked());
    for (std::list<Element*>& model : models_) model.remove(&element);
  }
  void CheckFirst(int which, const Element* first) {
    WEFT_CHECK(!models_[which].empty() && models_[which].front() == first) << "not the first element";
    models_[which].pop_front();
  }

  internal::List<Element, Tag> lists_[2];
  std::list<Element*> models_[2];
};

void FuzzLists(FuzzInput calls) {
  std::array<Element, kElements> elements;
  ListPair<FirstTag> first;
  ListPair<SecondTag> second;
  while (!calls.empty()) {
    const uint8_t call = calls.TakeByte();
    Element& element = elements[calls.TakeByte() % kElements];
    const int which = (call & 4) != 0 ? 1 : 0;
    if ((call & 8) != 0) {
      first.Call(call % 4, which, element);
    } else {
      second.Call(call % 4, which, element);
    }
    first.Check();
    second.Check();
  }
}

// ---- Queues of operations.

void FuzzOperations(FuzzInput calls) {
  std::array<internal::Operation, kElements> operations;
  internal::OperationQueue queue;
  std::deque<internal::Operation*> model;
  while (!calls.empty()) {
    const uint8_t call = calls.TakeByte() % 3;
    internal::Operation& operation = operations[calls.TakeByte() % kElements];
    const auto found = std::find(model.begin(), model.end(), &operation);
    if (call == 0 && found == model.end()) {
      queue.Push(operation);
      model.push_back(&operation);
    } else if (call == 1) {
      const internal::Operation* const popped = queue.Pop();
      WEFT_CHECK(popped == (model.empty() ? nullptr : model.front())) << "not the first operation";
      if (!model.empty()) model.pop_front();
    } else {
      WEFT_CHECK(queue.Remove(operation) == (found != model.end()));
      if (found != model.end()) model.erase(found);
    }
    WEFT_CHECK(queue.front() == (model.empty() ? nullptr : model.front()));
  }
  for (const internal::Operation* const each : model) WEFT_CHECK(queue.Pop() == each) << "not the next operation";
  WEFT_CHECK(queue.empty()) << "more operations than in the model";
}

// ---- The inject queue.

struct Item : internal::ListNode<FirstTag> {
  size_t number = 0;
};

void FuzzInjectQueue(FuzzInput calls) {
  std::array<Item, kElements> items;
  for (size_t i = 0; i < kElements; ++i) items[i].number = i;
  internal::InjectQueue<Item, FirstTag> queue;
  std::deque<Item*> model;
  const auto took = [&model](Item* item, std::deque<Item*>::iterator expected) {
    WEFT_CHECK(item == (expected == model.end() ? nullptr : *expected)) << "not the item of the model";
    if (expected != model.end()) model.erase(expected);
  };
  while (!calls.empty()) {
    const uint8_t call = calls.TakeByte() % 5;
    const size_t number = calls.TakeByte() % kElements;
    if (call == 0 && !items[number].linked()) {
      queue.Push(items[number]);
      model.push_back(&items[number]);
    } else if (call == 1) {
      internal::List<Item, FirstTag> more;
      size_t count = 0;
      for (size_t i = number; i < kElements; ++i) {
        if (items[i].linked()) continue;
        more.PushBack(&items[i]);
        model.push_back(&items[i]);
        ++count;
      }
      queue.PushAll(more, count);
    } else if (call == 2) {
      took(queue.Take(), model.begin());
    } else if (call == 3) {
      internal::List<Item, FirstTag> out;
      queue.TakeSome(number, out);
      for (size_t i = std::min(number, model.size()); i > 0; --i) took(out.PopFront(), model.begin());
      WEFT_CHECK(out.empty()) << "more items than were asked for";
    } else {
      const auto suits = [number](const Item& item) { return item.number % 4 == number % 4; };
      took(queue.TakeIf(suits),
           std::find_if(model.begin(), model.end(), [&suits](const Item* item) { return suits(*item); }));
    }
    WEFT_CHECK(queue.SizeEstimate() == model.size()) << queue.SizeEstimate() << " of " << model.size();
  }
  while (!model.empty()) took(queue.Take(), model.begin());
  WEFT_CHECK(queue.Take() == nullptr);
}

// ---- The ring of a channel. It is unbounded, or has a limit; a call counts for up to a block of places.

void FuzzRing(FuzzInput calls) {
  constexpr const internal::ElementType& kType = internal::kElementType<Counted>;
  const uint8_t first = calls.TakeByte();
  const int64_t limit = (first & 1) != 0 ? internal::ElementRing::kNoLimit : first % 8;
  internal::ElementRing ring;
  WEFT_CHECK(ring.Init(kType, limit));
  std::deque<int> model;
  int next = 0;
  alignas(Counted) std::byte place[sizeof(Counted)];
  auto* const taken = reinterpret_cast<Counted*>(place);
  while (!calls.empty()) {
    const uint8_t call = calls.TakeByte() % 6;
    for (int count = 1 + calls.TakeByte() % 70; count > 0; --count) {
      const bool full = ring.full();
      WEFT_CHECK(full == (limit >= 0 && static_cast<int64_t>(model.size()) >= limit));
      Counted value(++next);
      if (call == 0 || call == 1) {
        const bool pushed = call == 0 ? ring.TryPushBack(kType, &value) : !full && ring.PushBack(kType, &value);
        // Without a limit it may have to add a block.
        WEFT_CHECK(pushed == !full || (call == 0 && !full && limit < 0));
        WEFT_CHECK((value.value() == Counted::kMovedFrom) == pushed);
        if (pushed) model.push_back(next);
      } else if (call == 2) {
        if (ring.TryPopFront(kType, place)) {
          WEFT_CHECK(!model.empty() && taken->value() == model.front()) << taken->value();
          taken->~Counted();
          model.pop_front();
        } else {
          WEFT_CHECK(model.empty() || limit < 0) << "there are " << model.size();
        }
      } else if (!model.empty() && call == 3) {
        ring.PopFront(kType, place);
        WEFT_CHECK(taken->value() == model.front()) << taken->value();
        taken->~Counted();
        model.pop_front();
      } else if (!model.empty() && call == 4) {
        ring.DropFront(kType);
        model.pop_front();
      }
      WEFT_CHECK(ring.size() == static_cast<int64_t>(model.size())) << ring.size();
      WEFT_CHECK(ring.MayHaveValues() == !model.empty());
      WEFT_CHECK(Counted::alive.load() == static_cast<int64_t>(model.size()) + 1) << Counted::alive.load();
    }
  }
  ring.Destroy(kType);
  WEFT_CHECK(Counted::alive.load() == 0 && Counted::bad.load() == 0) << Counted::alive.load() << " are left";
}

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft::testing;
  FuzzInput input({reinterpret_cast<const char*>(data), size});
  switch (input.TakeByte() % 4) {
    case 0:
      FuzzLists(input);
      break;
    case 1:
      FuzzOperations(input);
      break;
    case 2:
      FuzzInjectQueue(input);
      break;
    default:
      FuzzRing(input);
      break;
  }
  return 0;
}
