// Intrusive doubly linked list: the nodes are the elements. What can be done with one is in lib/base/list.h.
#ifndef WEFT_INTERNAL_LIST_H_
#define WEFT_INTERNAL_LIST_H_

#include "weft/internal/compiler.h"

#include <cstddef>

#include "weft/internal/check.h"

namespace weft::internal {

// An element may be in as many lists at once as it has nodes, told apart by their tags.
template <class Tag>
struct ListNode {
  ListNode* next = nullptr;
  ListNode* prev = nullptr;
  bool linked() const noexcept { return next != nullptr; }
};

// T derives from ListNode<Tag>.
template <class T, class Tag>
class List {
  using Node = ListNode<Tag>;

 public:
  constexpr List() noexcept { head_.next = head_.prev = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() { WEFT_DCHECK(empty()) << "a list is destroyed with elements in it"; }

  bool empty() const noexcept { return head_.next == &head_; }
  inline T* front() noexcept;
  inline T* back() noexcept;
  inline T* Next(T* node) noexcept;
  inline T* Previous(T* node) noexcept;
  inline void PushBack(T* element) noexcept;
  inline void PushFront(T* element) noexcept;
  inline T* PopFront() noexcept;
  static inline void Remove(T* element) noexcept;
  inline void Splice(List& other) noexcept;

 private:
  Node head_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_LIST_H_
