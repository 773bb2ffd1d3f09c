#include "weft/executor/per_task_executor.h"

#include <memory>
#include <source_location>
#include <utility>

#include "absl/status/status.h"
#include "lib/thread/new_identity.h"
#include "lib/thread/runtime_services.h"
#include "weft/executor/task_run.h"
#include "weft/internal/thread_identity.h"
#include "weft/runtime.h"
#include "weft/thread_builder.h"

namespace weft {

VirtualThreadPerTaskExecutor::VirtualThreadPerTaskExecutor(std::source_location where)
    : runtime_(internal::RuntimeOfCaller()), handler_(internal::UncaughtHandlerOf(runtime_)), where_(where) {}

VirtualThreadPerTaskExecutor::VirtualThreadPerTaskExecutor(ThreadFactory factory, std::source_location where)
    : runtime_(factory.settings().runtime != nullptr ? *factory.settings().runtime : internal::RuntimeOfCaller()),
      factory_(std::move(factory)),
      handler_(factory_->settings().on_uncaught_failure != nullptr ? factory_->settings().on_uncaught_failure
                                                                   : internal::UncaughtHandlerOf(runtime_)),
      where_(where) {}

VirtualThreadPerTaskExecutor::VirtualThreadPerTaskExecutor(Runtime& runtime, std::source_location where) noexcept
    : runtime_(runtime.core()), handler_(internal::UncaughtHandlerOf(runtime_)), where_(where) {}

void VirtualThreadPerTaskExecutor::Start(internal::TaskRun& run) noexcept {
  if (!factory_.has_value()) return run.StartOn(runtime_);
  internal::ThreadIdentity* const identity = internal::NewIdentity([this] { return factory_->Next().name; });
  if (identity == nullptr) {
    return run.EndUnstarted(absl::Status(absl::StatusCode::kResourceExhausted, ""), uncaught_handler());
  }
  identity->locals_allowed = factory_->settings().allow_thread_locals;
  run.StartOn(runtime_, identity);
}

}  // namespace weft
