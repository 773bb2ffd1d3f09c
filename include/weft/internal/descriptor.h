// The ways to hold an open descriptor: to own it, to have a reference to it, and to use it in an operation. What it is,
// and how it is closed while others use it, is in lib/io/open_descriptor.h; lib/io/open_descriptor.cc implements these
// as well.
#ifndef WEFT_INTERNAL_DESCRIPTOR_H_
#define WEFT_INTERNAL_DESCRIPTOR_H_

#include "weft/internal/compiler.h"

#include <utility>

namespace weft::internal {

class OpenDescriptor;

// A reference, or none. Copies are more of them.
class DescriptorRef {
 public:
  DescriptorRef() noexcept = default;
  explicit DescriptorRef(OpenDescriptor* adopted) noexcept : descriptor_(adopted) {}
  DescriptorRef(const DescriptorRef& other) noexcept;
  DescriptorRef(DescriptorRef&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  DescriptorRef& operator=(DescriptorRef other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~DescriptorRef() {
    if (descriptor_ != nullptr) Release();
  }

  OpenDescriptor* get() const noexcept { return descriptor_; }
  OpenDescriptor* operator->() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ != nullptr; }

 private:
  void Release() noexcept;

  OpenDescriptor* descriptor_ = nullptr;
};

// A use, or none, if the descriptor is closed.
class DescriptorUse {
 public:
  DescriptorUse() noexcept = default;
  explicit DescriptorUse(OpenDescriptor* descriptor) noexcept;
  DescriptorUse(DescriptorUse&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  DescriptorUse& operator=(DescriptorUse other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~DescriptorUse() {
    if (descriptor_ != nullptr) Leave();
  }

  // Idempotent.
  void Leave() noexcept;
  int fd() const noexcept;
  OpenDescriptor* operator->() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ != nullptr; }

 private:
  OpenDescriptor* descriptor_ = nullptr;
};

// Owns a descriptor. The destructor closes it, and so does a move of another one onto it. Pending operations end then;
// they keep their own references. Moved from: has none.
class OwnedDescriptor {
 public:
  OwnedDescriptor() noexcept = default;
  // Room for a descriptor that is still to come: Open(). Null: no memory.
  static OwnedDescriptor Empty() noexcept;
  OwnedDescriptor(OwnedDescriptor&&) noexcept = default;
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    if (this == &other) return *this;
    Close();
    descriptor_ = std::move(other.descriptor_);
    return *this;
  }
  ~OwnedDescriptor() { Close(); }

  // False: moved from, or Empty() failed.
  explicit operator bool() const noexcept { return static_cast<bool>(descriptor_); }
  void Open(int fd) noexcept;

  // Any thread may call these at once.
  bool is_open() const noexcept;
  void Close() noexcept;
  // Its number; -1: closed, or moved from. The caller must make sure that no thread closes it meanwhile.
  int native_handle() const noexcept;
  // For callers that go on after this object is gone. CHECKs that it was not moved from.
  DescriptorRef Share(const char* what) const noexcept;
  // Same, for one operation. Empty if it is closed.
  DescriptorUse Use(const char* what) const noexcept;

 protected:
  OpenDescriptor* descriptor() const noexcept { return descriptor_.get(); }

 private:
  explicit OwnedDescriptor(OpenDescriptor* adopted) noexcept : descriptor_(adopted) {}

  DescriptorRef descriptor_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DESCRIPTOR_H_
