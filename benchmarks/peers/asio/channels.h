// Values through Asio's channels: as benchmarks/channel_benchmark.cc.
//
// No selects. Asio's nearest is a group of receives of which the first that is done cancels the others. But a cancelled
// receive leaves a buffered channel of Boost 1.81 full (chriskohlhoff/asio#1241); and one that is cancelled too late,
// while others send, has received a value that nobody gets.
#ifndef WEFT_BENCHMARKS_PEERS_ASIO_CHANNELS_H_
#define WEFT_BENCHMARKS_PEERS_ASIO_CHANNELS_H_

#include <boost/asio/thread_pool.hpp>

#include "benchmarks/peers/harness.h"

namespace weft::benchmarks::peers {

void MeasureChannels(const Harness& harness, boost::asio::thread_pool& pool);

}  // namespace weft::benchmarks::peers

#endif  // WEFT_BENCHMARKS_PEERS_ASIO_CHANNELS_H_
