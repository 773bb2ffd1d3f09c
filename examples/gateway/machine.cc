#include "examples/gateway/machine.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <cstddef>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

namespace gateway {
namespace {

// The number that follows a word in a file; 0 if there is none.
int64_t NumberAfter(const char* path, const char* label) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    int64_t number = 0;
    if (word == label && file >> number) return number;
  }
  return 0;
}

}  // namespace

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

int64_t KernelStackBytes() { return NumberAfter("/proc/meminfo", "KernelStack:") * 1024; }

int64_t OsThreads() { return NumberAfter("/proc/self/status", "Threads:"); }

int64_t RaiseDescriptorLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return static_cast<int64_t>(limit.rlim_cur);
}

int64_t TryOsThreads(int64_t wanted) {
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;  // guarded by mutex
  } gate;
  const auto wait = [](void* argument) -> void* {
    Gate& waited_for = *static_cast<Gate*>(argument);
    std::unique_lock lock(waited_for.mutex);
    waited_for.opened.wait(lock, [&] { return waited_for.open; });
    return nullptr;
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, static_cast<size_t>(kThreadStackBytes));
  std::vector<pthread_t> threads;
  for (pthread_t thread; static_cast<int64_t>(threads.size()) < wanted; threads.push_back(thread)) {
    if (pthread_create(&thread, &attributes, wait, &gate) != 0) break;
  }
  pthread_attr_destroy(&attributes);
  {
    std::lock_guard lock(gate.mutex);
    gate.open = true;
  }
  gate.opened.notify_all();
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  return static_cast<int64_t>(threads.size());
}

}  // namespace gateway
