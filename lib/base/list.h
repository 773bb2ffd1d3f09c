// Layer base. An intrusive doubly linked list: the nodes are the elements.
//
//   using Waiting = List<Waiter, WaitingTag>;  // Waiter derives from ListNode<WaitingTag>
//   waiting.PushBack(&waiter);
//   Waiting::Remove(&waiter);
//
// Every operation is O(1). Unguarded: whoever owns a list guards it. A list is destroyed when it is empty.
#ifndef WEFT_LIB_BASE_LIST_H_
#define WEFT_LIB_BASE_LIST_H_

#include "weft/internal/check.h"
#include "weft/internal/list.h"

namespace weft::internal {

// Null if there is none.
template <class T, class Tag>
inline T* List<T, Tag>::front() noexcept {
  return empty() ? nullptr : static_cast<T*>(head_.next);
}

template <class T, class Tag>
inline T* List<T, Tag>::back() noexcept {
  return empty() ? nullptr : static_cast<T*>(head_.prev);
}

// The element after `node`, or null.
template <class T, class Tag>
inline T* List<T, Tag>::Next(T* node) noexcept {
  Node* next = static_cast<Node*>(node)->next;
  return next == &head_ ? nullptr : static_cast<T*>(next);
}

template <class T, class Tag>
inline T* List<T, Tag>::Previous(T* node) noexcept {
  Node* previous = static_cast<Node*>(node)->prev;
  return previous == &head_ ? nullptr : static_cast<T*>(previous);
}

template <class T, class Tag>
inline void List<T, Tag>::PushBack(T* element) noexcept {
  Node* node = element;
  WEFT_DCHECK(!node->linked());
  node->next = &head_;
  node->prev = head_.prev;
  head_.prev->next = node;
  head_.prev = node;
}

template <class T, class Tag>
inline void List<T, Tag>::PushFront(T* element) noexcept {
  Node* node = element;
  WEFT_DCHECK(!node->linked());
  node->prev = &head_;
  node->next = head_.next;
  head_.next->prev = node;
  head_.next = node;
}

// Takes the first out, and returns it; null if there is none.
template <class T, class Tag>
inline T* List<T, Tag>::PopFront() noexcept {
  T* element = front();
  if (element != nullptr) Remove(element);
  return element;
}

// Takes an element out of the list that it is in.
template <class T, class Tag>
inline void List<T, Tag>::Remove(T* element) noexcept {
  Node* node = element;
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->next = node->prev = nullptr;
}

// Appends all of `other`, which is empty afterwards.
template <class T, class Tag>
inline void List<T, Tag>::Splice(List& other) noexcept {
  if (other.empty()) return;
  Node* first = other.head_.next;
  Node* last = other.head_.prev;
  first->prev = head_.prev;
  head_.prev->next = first;
  last->next = &head_;
  head_.prev = last;
  other.head_.next = other.head_.prev = &other.head_;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_BASE_LIST_H_
