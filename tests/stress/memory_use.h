// How much memory the process has, by /proc/self/statm.
#ifndef WEFT_TESTS_STRESS_MEMORY_USE_H_
#define WEFT_TESTS_STRESS_MEMORY_USE_H_

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace weft::testing {

struct MemoryUse {
  int64_t mapped = 0;    // bytes of address space
  int64_t resident = 0;  // bytes

  static MemoryUse Now() {
    MemoryUse use;
    std::ifstream("/proc/self/statm") >> use.mapped >> use.resident;
    const int64_t page = ::sysconf(_SC_PAGESIZE);
    return {.mapped = use.mapped * page, .resident = use.resident * page};
  }
  // A sanitizer maps terabytes, keeps what was freed for a while, and ends the program when it gets no more.
  bool is_sanitizers() const { return mapped >= int64_t{1} << 40; }
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_MEMORY_USE_H_
