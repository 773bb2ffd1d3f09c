// Clients that mean ill, in a process of its own, without Weft (peer_process.h).
//
//   HostilePeer hostile({.port = port, .answer = answer});
//   hostile.Begin({Hostility::kSlowHeader});
//   ... ask the server how it is ...
//   hostile.End();                                // closes the connections
//   hostile.tally(Hostility::kSlowHeader).timed_out
//
// Each kind keeps some connections open, and opens a new one for each that the server has ended. A connection does next
// to nothing, every 10 ms, and they do it in turns: it is to cost the server patience, not the machine its CPU.
//
// The server answers "GET /", waits some milliseconds before it answers "GET /slow", and has a large answer to
// "GET /large".
#ifndef WEFT_TESTS_STRESS_HOSTILE_PEER_H_
#define WEFT_TESTS_STRESS_HOSTILE_PEER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "tests/stress/peer_process.h"

namespace weft::testing {

enum class Hostility {
  kSlowHeader,   // sends a header byte by byte
  kSlowBody,     // sends the body of a request byte by byte
  kSlowReading,  // asks for a large answer, and reads nothing of it for long
  kSilence,      // sends nothing, or half a request
  kResets,       // sends a request's first k bytes, and resets the connection: k = 0, 1, ...
  kSegments,     // sends a whole request, each byte in a segment of its own, and is to be answered
  kPipelining,   // sends requests, one behind the other, and never reads
  kStorm,        // connects more often at once than the backlog has places, and closes
  kNoise,        // sends random bytes
};
inline constexpr size_t kHostilities = 9;

const char* NameOf(Hostility kind);

struct HostileLoad {
  uint16_t port = 0;
  std::string answer{};         // to "GET /" with "Connection: close"
  size_t large_bytes = 0;       // the answer to "GET /large" has more
  int64_t patience_millis = 0;  // kSlowReading does not read for so long: longer than the server's limit
  int connections = 16;         // of each kind
  int storm = 0;                // connections at once
};

// What has become of the connections of a kind.
struct HostileTally {
  std::atomic<int64_t> connections = 0;
  std::atomic<int64_t> answered = 0;   // kSegments: rightly
  std::atomic<int64_t> wrong = 0;      // kSegments: any other answer but 408
  std::atomic<int64_t> timed_out = 0;  // "408"
  std::atomic<int64_t> refused = 0;    // other answers of 4xx and 5xx
  std::atomic<int64_t> ended = 0;      // by the server, without an answer
  std::atomic<int64_t> cut_off = 0;    // by the server, within the answer
  std::atomic<int64_t> reset = 0;      // by the peer
  std::atomic<int64_t> kept_out = 0;   // kStorm: the accept queue was full
  std::atomic<int64_t> given_up = 0;   // by the peer, long after the server should have ended it
};
std::ostream& operator<<(std::ostream& out, const HostileTally& tally);

class HostilePeer {
 public:
  // Forks.
  explicit HostilePeer(const HostileLoad& load);

  void Begin(const std::vector<Hostility>& kinds);
  // Returns when the connections of all kinds are closed; false if the process has ended.
  bool End();
  // Counts on, from one Begin() to the next.
  const HostileTally& tally(Hostility kind) const { return shared_->tallies[static_cast<size_t>(kind)]; }

 private:
  struct Orders {
    std::array<std::atomic<bool>, kHostilities> kinds{};
    std::atomic<bool> end = false;
    std::array<HostileTally, kHostilities> tallies;
  };

  static void Run(const HostileLoad& load, Orders& orders);

  Shared<Orders> shared_;
  PeerProcess process_;
};

// After so many resets, kResets has made one behind each byte of a request, both at once and after a tick.
int64_t ResetsOfEveryLength(int connections);

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_HOSTILE_PEER_H_
