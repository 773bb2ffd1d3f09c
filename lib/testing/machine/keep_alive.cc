#include "lib/testing/machine/keep_alive.h"

#include <cerrno>

#include "lib/testing/machine/connection.h"

namespace weft::internal::machine {

KeepAlive::~KeepAlive() { end_.surroundings().routes.Forget(watch_); }

int64_t KeepAlive::Now() const noexcept { return end_.surroundings().wire.NowNanos(); }

bool KeepAlive::IsWanted() const noexcept { return options_.count > 0 && !end_.closed_ && !end_.IsOver(); }

bool KeepAlive::Reaches() const { return end_.surroundings().routes.Reaches(end_.local(), end_.remote()); }

bool KeepAlive::IsAnswered() const { return Reaches() && !end_.peer_->reset_; }

void KeepAlive::Set(const Options& options) {
  if (options == options_) return;
  options_ = options;
  quiet_since_ns_ = Now();
  probing_ = false;
  ++set_;
  if (watch_ == 0) watch_ = end_.surroundings().routes.Watch([this] { BeginIfUnanswered(); });
  BeginIfUnanswered();
}

void KeepAlive::BeginIfUnanswered() {
  if (probing_ || !IsWanted() || IsAnswered()) return;
  const int64_t quiet_ns = Now() - quiet_since_ns_;
  quiet_since_ns_ += quiet_ns - quiet_ns % options_.idle_ns;  // the last probe that was answered, if there was one
  unanswered_ = 0;
  ProbeAt(quiet_since_ns_ + options_.idle_ns);
}

void KeepAlive::ProbeAt(int64_t time_ns) {
  probing_ = true;
  end_.surroundings().wire.At(time_ns, [this, set = set_, kept = end_.Keep()] {
    if (set == set_) Probe();
  });
}

void KeepAlive::Probe() {
  probing_ = false;
  if (!IsWanted()) return;
  if (Now() - quiet_since_ns_ < options_.idle_ns) return BeginIfUnanswered();
  // What was sent is sent again, which takes the place of probes.
  if (!end_.peer_->under_way_.empty()) return ProbeAt(Now() + options_.idle_ns);
  if (unanswered_ == options_.count) return end_.BecomeReset(ETIMEDOUT);
  if (IsAnswered()) return HeardAt(Now());
  if (Reaches()) return end_.BecomeReset(ECONNRESET);
  ++unanswered_;
  ProbeAt(Now() + options_.interval_ns);
}

}  // namespace weft::internal::machine
