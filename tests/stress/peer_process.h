// A process without Weft that a test forks, to be the other side of its sockets; and what the two share.
//
//   Shared<ClientReport> report;
//   PeerProcess peer([&] { ... *report = ...; });
//   peer.Go();
//   EXPECT_TRUE(peer.Await());
//
// Make both before the test has a second thread, and before it limits itself: the process inherits what there is.
#ifndef WEFT_TESTS_STRESS_PEER_PROCESS_H_
#define WEFT_TESTS_STRESS_PEER_PROCESS_H_

#include <sys/mman.h>
#include <sys/types.h>

#include <functional>
#include <new>

namespace weft::testing {

// For use in the peer: if `result` is negative, prints `what` with errno, and ends the process.
int Require(int result, const char* what);

// A T that the processes forked from here on share with this one. Its destructor is not called.
template <class T>
class Shared {
 public:
  Shared() {
    void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) Require(-1, "mmap");
    value_ = new (memory) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(T)); }

  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }

 private:
  T* value_;
};

class PeerProcess {
 public:
  // Forks. The process waits for Go(), calls `run`, and waits for the next Go().
  explicit PeerProcess(const std::function<void()>& run);
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;
  // Ends the process, whatever it is doing.
  ~PeerProcess();

  void Go();
  // A descriptor that is readable when `run` has returned or the process has ended. It stays this object's.
  int done() const { return done_; }
  // Once for each Go(): waits until `run` has returned. Returns false if the process ended instead.
  bool Await();

 private:
  pid_t process_ = -1;
  int go_ = -1;
  int done_ = -1;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_PEER_PROCESS_H_
