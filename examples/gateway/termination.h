// SIGTERM and SIGINT as a weft::Event.
//
//   int main() {
//     gateway::Termination termination;      // first: the threads that are started later inherit the blocked signals
//     ... co_await termination.event().Wait();      // drain
//     ... co_await termination.again().Wait();      // a second signal: do not wait for the drain
//   }
#ifndef WEFT_EXAMPLES_GATEWAY_TERMINATION_H_
#define WEFT_EXAMPLES_GATEWAY_TERMINATION_H_

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "weft/weft.h"

namespace gateway {

class Termination {
 public:
  Termination() : waiter_([this, blocked = Block()] { Wait(blocked); }) {}
  Termination(const Termination&) = delete;
  Termination& operator=(const Termination&) = delete;
  ~Termination() {
    // If no signal comes any more, this is the one that ends the wait.
    ending_ = true;
    pthread_kill(waiter_.native_handle(), SIGTERM);
    waiter_.join();
  }

  weft::Event& event() { return event_; }
  weft::Event& again() { return again_; }

  // In the calling thread and those it starts.
  static sigset_t Block() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
  }

 private:
  void Wait(const sigset_t& signals) {
    for (weft::Event* event : {&event_, &again_}) {
      int signal = 0;
      sigwait(&signals, &signal);
      if (ending_) return;
      event->Set();
    }
  }

  weft::Event event_;
  weft::Event again_;
  std::atomic<bool> ending_ = false;
  std::thread waiter_;
};

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_TERMINATION_H_
