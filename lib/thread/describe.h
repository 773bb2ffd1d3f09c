// How messages and reports name a virtual thread.
//
// Any OS thread may call these, as long as the control block lives. The state of another thread may have changed by the
// time it is read.
#ifndef WEFT_LIB_THREAD_DESCRIBE_H_
#define WEFT_LIB_THREAD_DESCRIBE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/virtual_thread.h"

namespace weft::internal {

class ThreadBlock;

VirtualThread::State StateOf(const ThreadBlock& thread) noexcept;
// Index of the carrier that it is mounted on, or -1.
int CarrierOf(const ThreadBlock& thread) noexcept;

// "VirtualThread[#25,name]/runnable@carrier-3"
std::string DescribeThread(const ThreadBlock& thread);
VirtualThread::PreciseState PreciseStateOf(const ThreadBlock& thread) noexcept;
// "VirtualThread[#25,name]"
std::string ThreadLabel(const ThreadBlock& thread);
// The same for a thread that may be gone; for 0 "an OS thread".
std::string ThreadLabel(uint64_t id);
// DescribeThread() of the current one, or "an OS thread that runs no virtual thread".
std::string DescribeCaller();
// DescribeThread() for a thread that has ended.
std::string DescribeEnded(uint64_t id, std::string_view name);

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_DESCRIBE_H_
