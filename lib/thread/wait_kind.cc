#include "weft/internal/wait_kind.h"

namespace weft::internal {

const char* ParkReasonName(ParkReason reason) noexcept {
  switch (reason) {
    case ParkReason::kNone: return "nothing";
    case ParkReason::kJoin: return "StructuredTaskScope::Join";
    case ParkReason::kNextCompleted: return "StructuredTaskScope::NextCompleted";
    case ParkReason::kDrain: return "the end of its children";
    case ParkReason::kSleep: return "Sleep";
    case ParkReason::kYield: return "Yield";
    case ParkReason::kEvent: return "Event::Wait";
    case ParkReason::kLatch: return "Latch::Wait";
    case ParkReason::kBarrier: return "Barrier::ArriveAndWait";
    case ParkReason::kPhaser: return "Phaser::AwaitAdvance";
    case ParkReason::kExchanger: return "Exchanger::Exchange";
    case ParkReason::kOnce: return "Once::Run";
    case ParkReason::kSemaphore: return "Semaphore::Acquire";
    case ParkReason::kMutex: return "Mutex::Lock";
    case ParkReason::kRecursiveMutex: return "RecursiveMutex::Lock";
    case ParkReason::kSharedMutex: return "SharedMutex::Lock";
    case ParkReason::kSharedMutexRead: return "SharedMutex::LockShared";
    case ParkReason::kCondition: return "ConditionVariable::Wait";
    case ParkReason::kReceive: return "Read";
    case ParkReason::kSend: return "Write";
    case ParkReason::kAccept: return "Accept";
    case ParkReason::kConnect: return "Connect";
    case ParkReason::kReadable: return "WaitReadable";
    case ParkReason::kWritable: return "WaitWritable";
    case ParkReason::kHangUp: return "WaitHangUp";
    case ParkReason::kSignal: return "Signals::Next";
    case ParkReason::kProcessEnd: return "Process::Wait";
    case ParkReason::kForeign: return "Foreign";
    case ParkReason::kBlocking: return "Blocking";
    case ParkReason::kThreadEnd: return "VirtualThread::Join";
    case ParkReason::kPark: return "VirtualThread::Park";
    case ParkReason::kFuture: return "Future::Get";
    case ParkReason::kExecutorPlace: return "BoundedExecutor::SubmitWhenFree";
    case ParkReason::kChannelSend: return "Channel::Send";
    case ParkReason::kChannelReceive: return "Channel::Receive";
    case ParkReason::kBroadcast: return "Broadcast::Receive";
    case ParkReason::kSelect: return "Select";
  }
  return "an unknown wait";
}

}  // namespace weft::internal
