// Intrusive doubly linked list: the nodes are the elements. Unguarded; whoever owns a list guards it.
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

// T derives from ListNode<Tag>. Every operation is O(1).
template <class T, class Tag>
class List {
  using Node = ListNode<Tag>;

 public:
  List() noexcept { head_.next = head_.prev = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() { WEFT_DCHECK(empty()) << "a list is destroyed with elements in it"; }

  bool empty() const noexcept { return head_.next == &head_; }
  T* front() noexcept { return empty() ? nullptr : static_cast<T*>(head_.next); }
  // The element after `node`, or null.
  T* Next(T* node) noexcept {
    Node* next = static_cast<Node*>(node)->next;
    return next == &head_ ? nullptr : static_cast<T*>(next);
  }

  void PushBack(T* element) noexcept {
    Node* node = element;
    WEFT_DCHECK(!node->linked());
    node->next = &head_;
    node->prev = head_.prev;
    head_.prev->next = node;
    head_.prev = node;
  }
  void PushFront(T* element) noexcept {
    Node* node = element;
    WEFT_DCHECK(!node->linked());
    node->prev = &head_;
    node->next = head_.next;
    head_.next->prev = node;
    head_.next = node;
  }
  T* PopFront() noexcept {
    T* element = front();
    if (element != nullptr) Remove(element);
    return element;
  }
  static void Remove(T* element) noexcept {
    Node* node = element;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = nullptr;
  }
  // Appends all of `other`, which is empty afterwards.
  void Splice(List& other) noexcept {
    if (other.empty()) return;
    Node* first = other.head_.next;
    Node* last = other.head_.prev;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
    other.head_.next = other.head_.prev = &other.head_;
  }

 private:
  Node head_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_LIST_H_
