// Goal: an engine without a transport: what readers leave for the peer has a bound, what a writer leaves is its own
// affair. Method: two engines, whose bytes the test carries.
#include "lib/tls/engine.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "lib/tls/byte_queue.h"
#include "tests/tls/tls_ends.h"

namespace weft::testing {
namespace {

using internal::ByteQueue;
using internal::TlsEngine;
using Next = TlsEngine::Step::Next;

void Carry(TlsEngine& from, TlsEngine& to) {
  ByteQueue bytes;
  from.SwapOutput(bytes);
  if (!bytes.empty()) EXPECT_EQ(to.Feed(bytes), absl::OkStatus());
}

struct Engines {
  Engines()
      : client(TlsEngine::Client(SharedClient(), "db.internal").value()),
        server(TlsEngine::Server(SharedServer()).value()) {
    for (bool agreed = false; !agreed;) {
      agreed = client->Handshake().next == Next::kDone;
      Carry(*client, *server);
      agreed &= server->Handshake().next == Next::kDone;
      Carry(*server, *client);
    }
  }

  std::unique_ptr<TlsEngine> client, server;
};

// A read on one carrier may come between the writes of another one and their way into the transport.
TEST(TlsEngineTest, WhatAWriterLeavesInTheOutputIsNoAnswer) {
  const Engines engines;
  const std::string record(16 * 1024, 'x');
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(engines.client->Write(record).next, Next::kDone);
    char byte;
    EXPECT_EQ(engines.client->Read({&byte, 1}).next, Next::kNeedsInput);
  }
  Carry(*engines.client, *engines.server);
  std::string got(20 * record.size(), '\0');
  for (size_t done = 0; done < got.size();) {
    const TlsEngine::Step step = engines.server->Read({got.data() + done, got.size() - done});
    ASSERT_EQ(step.next, Next::kDone);
    done += step.bytes;
  }
  EXPECT_EQ(got, std::string(got.size(), 'x'));
}

}  // namespace
}  // namespace weft::testing
