// The two ways to hold an open descriptor: to have it, and to use it in an operation. What it is, and how it is closed
// while others use it, is in lib/net/open_descriptor.h; lib/net/open_descriptor.cc implements these as well.
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

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DESCRIPTOR_H_
