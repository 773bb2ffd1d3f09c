// Layer testing. How does a socket notice that a peer which has nothing to say is gone?
//
// By probes, for which SO_KEEPALIVE asks: the first after a time without news, others at intervals until one is
// answered. If none of so many is, the connection ends an interval later: ETIMEDOUT. A peer that has given the
// connection up answers with a reset: ECONNRESET.
//
// Only probes that are not answered are events of the wire, and the first of these is made when hosts are cut off. If
// all were, a read that nobody answers would be an endless run of probes, and no deadlock.
#ifndef WEFT_LIB_TESTING_MACHINE_KEEP_ALIVE_H_
#define WEFT_LIB_TESTING_MACHINE_KEEP_ALIVE_H_

#include <cstdint>

namespace weft::internal::machine {

class ConnectionEnd;

class KeepAlive {
 public:
  struct Options {
    int64_t idle_ns = 0;
    int64_t interval_ns = 0;
    int count = 0;  // 0: no probes

    bool operator==(const Options&) const = default;
  };

  explicit KeepAlive(ConnectionEnd& end) noexcept : end_(end) {}
  KeepAlive(const KeepAlive&) = delete;
  KeepAlive& operator=(const KeepAlive&) = delete;
  ~KeepAlive();

  void Set(const Options& options);
  // Something has come from the peer, or it has something from here.
  void HeardAt(int64_t now_ns) noexcept { quiet_since_ns_ = now_ns; }

 private:
  int64_t Now() const noexcept;
  bool IsWanted() const noexcept;
  bool Reaches() const;
  // By an acknowledgement, and not by a reset?
  bool IsAnswered() const;
  void BeginIfUnanswered();
  void ProbeAt(int64_t time_ns);
  void Probe();

  ConnectionEnd& end_;
  Options options_;
  int64_t quiet_since_ns_ = 0;
  int64_t watch_ = 0;  // of the routes; 0: none
  bool probing_ = false;
  int unanswered_ = 0;
  int64_t set_ = 0;  // how often: probes of earlier options are none any more
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_KEEP_ALIVE_H_
