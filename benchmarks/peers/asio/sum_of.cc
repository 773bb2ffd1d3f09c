#include "benchmarks/peers/asio/sum_of.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <utility>
#include <vector>

namespace weft::benchmarks::peers {

namespace asio = boost::asio;

asio::awaitable<int64_t> SumOf(std::vector<asio::awaitable<int64_t>> children) {
  const auto executor = co_await asio::this_coro::executor;
  using Operation = decltype(asio::co_spawn(executor, std::move(children[0]), asio::deferred));
  std::vector<Operation> operations;
  operations.reserve(children.size());
  for (auto& child : children) operations.push_back(asio::co_spawn(executor, std::move(child), asio::deferred));
  auto [order, failures, results] = co_await asio::experimental::make_parallel_group(std::move(operations))
                                        .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  int64_t sum = 0;
  for (int64_t result : results) sum += result;
  co_return sum;
}

}  // namespace weft::benchmarks::peers
