// net::IsClosed: io::IsClosed() (weft/io/closed.h), for those who think of sockets.
#ifndef WEFT_NET_CLOSED_H_
#define WEFT_NET_CLOSED_H_

#include "weft/internal/compiler.h"

#include "weft/io/closed.h"

namespace weft::net {

using io::IsClosed;

}  // namespace weft::net

#endif  // WEFT_NET_CLOSED_H_
