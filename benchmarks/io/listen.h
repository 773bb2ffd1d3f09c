// What the servers of ./benchmarks/compare_io share: they listen on a free port of 127.0.0.1, and print which.
#ifndef WEFT_BENCHMARKS_IO_LISTEN_H_
#define WEFT_BENCHMARKS_IO_LISTEN_H_

#include "absl/status/statusor.h"
#include "weft/weft.h"

namespace weft::benchmarks {

// Prints "listening on 127.0.0.1:PORT", which ./benchmarks/compare_io waits for.
absl::StatusOr<net::TcpListener> ListenAndSay();

}  // namespace weft::benchmarks

#endif  // WEFT_BENCHMARKS_IO_LISTEN_H_
