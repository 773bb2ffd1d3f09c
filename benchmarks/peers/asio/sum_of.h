// What the measures in Asio share: coroutines, run side by side.
#ifndef WEFT_BENCHMARKS_PEERS_ASIO_SUM_OF_H_
#define WEFT_BENCHMARKS_PEERS_ASIO_SUM_OF_H_

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <vector>

namespace weft::benchmarks::peers {

// Runs all of them as coroutines of their own, and adds up their results. There is at least one.
boost::asio::awaitable<int64_t> SumOf(std::vector<boost::asio::awaitable<int64_t>> children);

}  // namespace weft::benchmarks::peers

#endif  // WEFT_BENCHMARKS_PEERS_ASIO_SUM_OF_H_
