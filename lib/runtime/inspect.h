// Layer runtime. What do the threads of a runtime wait for? For reports, and for simulations that could not go on.
#ifndef WEFT_LIB_RUNTIME_INSPECT_H_
#define WEFT_LIB_RUNTIME_INSPECT_H_

#include <functional>
#include <string>

#include "weft/internal/thread_block.h"

namespace weft::internal {

class RuntimeCore;

// What is added to a thread's line.
using Annotate = std::function<std::string(const ThreadBlock& thread)>;

// One line for each thread: what it is, what it waits for, and what `annotate` adds. Exact when nothing runs.
std::string DescribeThreads(RuntimeCore& runtime, const Annotate& annotate = nullptr) noexcept;

// For simulations, while no thread runs: until RuntimeCore::shields_lifted is false again, shields hide nothing.
// Requests are brought to what is inside them.
void LiftShields(RuntimeCore& runtime) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_INSPECT_H_
