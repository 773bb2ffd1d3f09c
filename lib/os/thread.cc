#include "lib/os/thread.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/internal/check.h"

namespace weft::internal {

Thread::~Thread() { WEFT_CHECK(!joinable_) << "the OS thread '" << name_ << "' is destroyed before it was joined"; }

absl::Status Thread::Start(std::string_view name, Function function, void* argument) {
  const int error = TryStart(name, function, argument);
  return error == 0 ? absl::OkStatus() : WhyNotStarted(error);
}

int Thread::TryStart(std::string_view name, Function function, void* argument) noexcept {
  WEFT_CHECK(!joinable_) << "the OS thread '" << name_ << "' is started a second time, as '" << name << "'";
  name = name.substr(0, kMaxNameBytes);
  *std::copy(name.begin(), name.end(), name_) = '\0';
  function_ = function;
  argument_ = argument;
  const int error = Sys().pthread_create(&handle_, nullptr, &Thread::Run, this);
  joinable_ = error == 0;
  return error;
}

absl::Status Thread::WhyNotStarted(int error) const {
  absl::Status status = ErrnoToStatus(error, "cannot start the OS thread '" + std::string(name_) + "'");
  if (error != EAGAIN) return status;
  // Here it means a limit on threads. Elsewhere it means a descriptor that is not ready.
  absl::Status exhausted = absl::ResourceExhaustedError(status.message());
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { exhausted.SetPayload(url, payload); });
  return exhausted;
}

void Thread::Join() noexcept {
  WEFT_CHECK(joinable_) << "Join() of an OS thread that does not run";
  const int error = ::pthread_join(handle_, nullptr);
  WEFT_CHECK(error == 0) << "Join() of the OS thread '" << name_ << "' failed with errno " << error
                         << "; a thread cannot join itself";
  joinable_ = false;
}

size_t Thread::StackBytes() noexcept {
  pthread_attr_t attributes;
  size_t bytes = 0;
  int error = ::pthread_getattr_default_np(&attributes);
  WEFT_CHECK(error == 0) << "pthread_getattr_default_np failed with errno " << error;
  error = ::pthread_attr_getstacksize(&attributes, &bytes);
  WEFT_CHECK(error == 0) << "pthread_attr_getstacksize failed with errno " << error;
  ::pthread_attr_destroy(&attributes);
  return bytes;
}

void* Thread::Run(void* self) noexcept {
  auto* thread = static_cast<Thread*>(self);
  // The only possible failure is a name that is too long, and it is not.
  ::pthread_setname_np(::pthread_self(), thread->name_);
  thread->function_(thread->argument_);
  return nullptr;
}

}  // namespace weft::internal
