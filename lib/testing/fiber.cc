#include "lib/testing/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "lib/base/exception_state.h"
#include "lib/base/sanitizers.h"
#include "lib/testing/stack_overflow.h"
#include "weft/internal/check.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__x86_64__)
// Stores what a callee has to preserve on the current stack, and that stack's pointer in `*save`; then takes up `load`.
// In the layout of the frame, from its lowest address: control words, r15, r14, r13, r12, rbx, rbp, return address. A
// program that runs with shadow stacks (CET) cannot use this; none of ours does.
extern "C" void WeftSwitchStack(void** save, void* load) noexcept;
__asm__(R"(
  .pushsection .text
  .globl WeftSwitchStack
  .hidden WeftSwitchStack
  .type WeftSwitchStack, @function
  .p2align 4
WeftSwitchStack:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
  .size WeftSwitchStack, . - WeftSwitchStack
  .popsection
)");
#endif

namespace weft::internal {
namespace {

// ---- The registers.

#if defined(__x86_64__)

struct Registers {
  void* stack_pointer = nullptr;
};

// Prepares a stack on which `main` starts as if it had been called by nobody.
void Prepare(Registers& registers, void* stack, size_t bytes, void (*main)()) noexcept {
  struct Frame {
    uint32_t mxcsr;
    uint32_t x87_control;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    void (*return_address)();
    uint64_t end_of_stack;  // the return address of `main`: 0, where unwinders stop
  };
  static_assert(sizeof(Frame) == 72);
  // After `ret`, the stack pointer is 8 below a multiple of 16, as at the start of any function.
  char* top = static_cast<char*>(stack) + bytes - sizeof(Frame);
  Frame frame = {};
  __asm__ __volatile__("stmxcsr %0" : "=m"(frame.mxcsr));
  __asm__ __volatile__("fnstcw %0" : "=m"(frame.x87_control));
  frame.return_address = main;
  std::memcpy(top, &frame, sizeof(frame));
  registers.stack_pointer = top;
}

[[gnu::always_inline]] inline void SwitchRegisters(Registers& save, Registers& load) noexcept {
  WeftSwitchStack(&save.stack_pointer, load.stack_pointer);
}

#else

struct Registers {
  ucontext_t context;
};

void Prepare(Registers& registers, void* stack, size_t bytes, void (*main)()) noexcept {
  const int error = ::getcontext(&registers.context);
  WEFT_CHECK(error == 0) << "getcontext failed with errno " << errno;
  registers.context.uc_stack.ss_sp = stack;
  registers.context.uc_stack.ss_size = bytes;
  registers.context.uc_link = nullptr;
  ::makecontext(&registers.context, main, 0);
}

[[gnu::always_inline]] inline void SwitchRegisters(Registers& save, Registers& load) noexcept {
  const int error = ::swapcontext(&save.context, &load.context);
  WEFT_CHECK(error == 0) << "swapcontext failed with errno " << errno;
}

#endif

// ---- The sanitizers. Inlined, because ThreadSanitizer keeps a call stack of its own for each fiber: a function that
// is entered on one side of a switch must not be left on the other.

#if __has_feature(address_sanitizer)
[[gnu::always_inline]] inline void AsanBeforeSwitch(void** save, const void* stack, size_t bytes) noexcept {
  __sanitizer_start_switch_fiber(save, stack, bytes);
}
[[gnu::always_inline]] inline void AsanAfterSwitch(void* load, const void** stack, size_t* bytes) noexcept {
  __sanitizer_finish_switch_fiber(load, stack, bytes);
}
#else
[[gnu::always_inline]] inline void AsanBeforeSwitch(void**, const void*, size_t) noexcept {}
[[gnu::always_inline]] inline void AsanAfterSwitch(void*, const void**, size_t*) noexcept {}
#endif

#if __has_feature(thread_sanitizer)
void* TsanCreate() noexcept { return __tsan_create_fiber(0); }
void TsanDestroy(void* fiber) noexcept { __tsan_destroy_fiber(fiber); }
void* TsanCurrent() noexcept { return __tsan_get_current_fiber(); }
[[gnu::always_inline]] inline void TsanBeforeSwitch(void* fiber) noexcept { __tsan_switch_to_fiber(fiber, 0); }
#else
void* TsanCreate() noexcept { return nullptr; }
void TsanDestroy(void*) noexcept {}
void* TsanCurrent() noexcept { return nullptr; }
[[gnu::always_inline]] inline void TsanBeforeSwitch(void*) noexcept {}
#endif

// More stack than Main() needs, with what it calls after its function has returned.
[[maybe_unused]] constexpr size_t kMainBytes = size_t{16} * 1024;

size_t RoundUpToPages(size_t bytes) noexcept {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

thread_local Fiber* current_fiber = nullptr;

}  // namespace

// One side of a switch, while it does not run.
struct Fiber::Context {
  Registers registers;
  ExceptionState exceptions;
  void* mapping = nullptr;  // the guard and the stack above it; of a fiber only
  size_t mapping_bytes = 0;
  const void* stack = nullptr;  // its lowest address; of a caller as AddressSanitizer tells it
  size_t stack_bytes = 0;
  void* asan_fake_stack = nullptr;
  bool ends = false;
  void* tsan_fiber = nullptr;
};

Fiber::Fiber(std::function<void()> function, size_t stack_bytes, const char* name)
    : function_(std::move(function)), name_(name), context_(new Context), caller_context_(new Context) {
  WatchForStackOverflow();
  const size_t guard_bytes = RoundUpToPages(kGuardBytes);
  context_->stack_bytes = RoundUpToPages(stack_bytes);
  context_->mapping_bytes = guard_bytes + context_->stack_bytes;
  context_->mapping = ::mmap(nullptr, context_->mapping_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  WEFT_CHECK(context_->mapping != MAP_FAILED)
      << "no memory for a fiber's stack of " << stack_bytes << " bytes, errno " << errno;
  const int error = ::mprotect(context_->mapping, guard_bytes, PROT_NONE);
  WEFT_CHECK(error == 0) << "the guard of a fiber cannot be protected, errno " << errno;
  char* stack = static_cast<char*>(context_->mapping) + guard_bytes;
  context_->stack = stack;
  context_->tsan_fiber = TsanCreate();
  Prepare(context_->registers, stack, context_->stack_bytes, [] { Main(); });
}

Fiber::~Fiber() {
  WEFT_CHECK(!running_) << "a fiber is destroyed while it runs, or after it has switched to another";
  TsanDestroy(context_->tsan_fiber);
  // Abandoned frames leave their borders poisoned. After a function that has returned, those of Main() and of the
  // switch are left.
  [[maybe_unused]] const size_t left = done_ ? std::min(kMainBytes, context_->stack_bytes) : context_->stack_bytes;
  ASAN_UNPOISON_MEMORY_REGION(static_cast<const char*>(context_->stack) + context_->stack_bytes - left, left);
  ::munmap(context_->mapping, context_->mapping_bytes);
  delete context_;
  delete caller_context_;
}

Fiber* Fiber::Current() noexcept { return current_fiber; }

size_t Fiber::stack_bytes() const noexcept { return context_->stack_bytes; }

bool Fiber::IsBelowStack(const void* address) const noexcept {
  return std::less_equal<>()(context_->mapping, address) && std::less<>()(address, context_->stack);
}

void Fiber::SwitchTo() {
  WEFT_CHECK(!done_) << "SwitchTo() a fiber that is done";
  WEFT_CHECK(!running_) << "SwitchTo() a fiber that runs, or that has switched to the caller";
  caller_ = current_fiber;
  running_ = true;
  current_fiber = this;
  caller_context_->tsan_fiber = TsanCurrent();
  Switch(*caller_context_, *context_, *context_);
}

void Fiber::SwitchBack() {
  Fiber* self = current_fiber;
  WEFT_CHECK(self != nullptr) << "SwitchBack() outside of a fiber";
  self->running_ = false;
  current_fiber = self->caller_;
  Switch(*self->context_, *self->caller_context_, *self->caller_context_);
}

// Runs `to` until something switches to `from`; that is then `back`, whose stack is learnt if it is the OS thread's.
void Fiber::Switch(Context& from, Context& to, Context& back) noexcept {
  from.exceptions = ExceptionState::Exchange(to.exceptions);
  // With no place for its fake stack, AddressSanitizer frees the one of a fiber that ends.
  AsanBeforeSwitch(from.ends ? nullptr : &from.asan_fake_stack, to.stack, to.stack_bytes);
  TsanBeforeSwitch(to.tsan_fiber);
  SwitchRegisters(from.registers, to.registers);
  AsanAfterSwitch(from.asan_fake_stack, &back.stack, &back.stack_bytes);
}

void Fiber::Main() noexcept {
  Fiber* self = current_fiber;
  AsanAfterSwitch(nullptr, &self->caller_context_->stack, &self->caller_context_->stack_bytes);
  self->function_();
  self->done_ = true;
  self->context_->ends = true;
  self->running_ = false;
  current_fiber = self->caller_;
  Switch(*self->context_, *self->caller_context_, *self->caller_context_);
  WEFT_CHECK(false) << "a fiber went on after its end";
  __builtin_unreachable();
}

}  // namespace weft::internal
