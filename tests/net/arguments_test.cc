// Goal: text and bytes may be given to every function that takes them in whatever type the caller has them: those of
// the standard library and of Abseil, text from char* to std::string, bytes from char[] to std::span<std::byte>.
// Method: a suite over the types, each with every function. It is compiled once more, by arguments_test.py, with an
// Abseil whose string_view is the standard library's, as it mostly is.
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "weft/weft.h"

namespace weft {
namespace {

using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

struct Connection {
  TcpStream client;
  TcpStream server;
};

Task<Connection> Connect() {
  TcpListener listener = *TcpListener::Bind("127.0.0.1:0");
  TcpStream client = *co_await TcpStream::Connect(*listener.local_address());
  TcpStream server = *co_await listener.Accept();
  co_return Connection{std::move(client), std::move(server)};
}

Task<std::string> ReadFour(TcpStream& stream) {
  std::string read(4, '\0');
  EXPECT_TRUE((co_await stream.ReadExactly(read)).ok());
  co_return read;
}

// ---- Text.

template <class Text>
class TextArgumentTest : public testing::Test {};

// Where the last two are one type it is tested twice.
using Texts = testing::Types<const char*, char*, std::string, TextView, std::string_view, absl::string_view>;
TYPED_TEST_SUITE(TextArgumentTest, Texts);

TYPED_TEST(TextArgumentTest, IsTakenByEveryFunctionThatTakesText) {
  using Text = TypeParam;
  static_assert(std::is_convertible_v<const Text&, TextView> && std::is_convertible_v<Text&&, TextView>);
  static_assert(std::is_convertible_v<const Text&, ConstBuffer> && std::is_convertible_v<Text&&, ConstBuffer>);

  std::string kept = "127.0.0.1:0";
  const Text address(kept.data());
  ASSERT_TRUE(SocketAddress::Parse(address).ok());
  const SocketAddress parsed = *SocketAddress::Parse(Text(address));
  EXPECT_EQ(parsed.ToString(), kept);
  EXPECT_TRUE(TcpListener::Bind(address).ok());
  TcpListener listener = *TcpListener::Bind(address, {.backlog = 1});

  weft::Run([](TcpListener& listener) -> Task<void> {
    std::string where = listener.local_address()->ToString();
    const Text there(where.data());
    absl::StatusOr<TcpStream> client = co_await TcpStream::Connect(there);
    EXPECT_TRUE(client.ok()) << client.status();
    absl::StatusOr<TcpStream> server = co_await listener.Accept();
    char ping[] = "ping";
    EXPECT_TRUE((co_await client->Write(Text(ping))).ok());
    EXPECT_EQ(co_await ReadFour(*server), "ping");

    char called[] = "called";
    const Text name(called);
    AwaitAll scope(name);
    scope.Fork([]() -> Task<void> { EXPECT_EQ(VirtualThread::Current().name(), "called"); co_return; }, {.name = name});
    (co_await scope.Join()).IgnoreFailures();
    ShutdownOnFailure other({.name = name});
    (co_await other.Join()).IgnoreFailures();
    Supervisor supervisor(name);
    (co_await supervisor.Join()).IgnoreFailures();
  }(listener));
}

TYPED_TEST(TextArgumentTest, IsTakenByAFunctionThatWeftCalls) {
  using Text = TypeParam;
  if constexpr (!std::is_same_v<Text, std::string> && !std::is_pointer_v<Text>) {  // which no view becomes by itself
    [[maybe_unused]] const RuntimeOptions options = {
        .on_uncaught_failure = [](Text, const absl::Status&, const std::exception_ptr&) {}};
  }
}

TEST(TextViewTest, ALiteralEndsAtItsZeroAndTheOthersHaveTheirSize) {
  const std::string zero("a\0b", 3);
  EXPECT_EQ(TextView("ab").size(), 2U);
  EXPECT_EQ(TextView(zero).size(), 3U);
  EXPECT_EQ(TextView(std::string_view(zero)).size(), 3U);
  EXPECT_EQ(TextView(absl::string_view(zero)).size(), 3U);
  EXPECT_EQ(TextView(zero.data(), 3).size(), 3U);
  EXPECT_TRUE(TextView().empty());
  static_assert(!std::is_constructible_v<TextView, std::nullptr_t>);
  static_assert(!std::is_constructible_v<TextView, int>);
}

TEST(TextViewTest, ItIsAViewOfEitherKindToWhoTakesOne) {
  const TextView text = "ab";
  const std::string_view standard = text;
  const absl::string_view abseils = text;
  EXPECT_EQ(standard, "ab");
  EXPECT_EQ(abseils, "ab");
}

// ---- Bytes.

template <class Bytes>
Bytes FourBytes() {
  if constexpr (requires(Bytes bytes) { bytes.resize(4); }) {
    Bytes bytes;
    bytes.resize(4);
    return bytes;
  } else {
    return {};
  }
}


template <class Bytes>
class BytesArgumentTest : public testing::Test {};

using Owners = testing::Types<std::string, std::vector<char>, std::vector<unsigned char>, std::vector<std::byte>,
                              std::array<char, 4>, std::array<std::byte, 4>>;
TYPED_TEST_SUITE(BytesArgumentTest, Owners);

TYPED_TEST(BytesArgumentTest, AreTakenByEveryFunctionThatTakesBytes) {
  using Element = typename TypeParam::value_type;
  weft::Run([]() -> Task<void> {
    Connection connection = co_await Connect();
    TypeParam bytes = FourBytes<TypeParam>();
    std::memcpy(bytes.data(), "ping", 4);
    const TypeParam& fixed = bytes;

    EXPECT_TRUE((co_await connection.client.Write(bytes)).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(fixed)).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(TypeParam(bytes))).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(std::span<const Element>(bytes))).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(std::span<Element>(bytes))).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(absl::Span<const Element>(bytes))).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");
    EXPECT_TRUE((co_await connection.client.Write(absl::MakeSpan(bytes))).ok());
    EXPECT_EQ(co_await ReadFour(connection.server), "ping");

    for (int way = 0; way < 5; ++way) {
      EXPECT_TRUE((co_await connection.server.Write("pong")).ok());
      bytes = FourBytes<TypeParam>();
      switch (way) {
        case 0:
          EXPECT_TRUE((co_await connection.client.ReadExactly(bytes)).ok());
          break;
        case 1:
          EXPECT_TRUE((co_await connection.client.ReadExactly(std::span<Element>(bytes))).ok());
          break;
        case 2:
          EXPECT_TRUE((co_await connection.client.ReadExactly(absl::MakeSpan(bytes))).ok());
          break;
        case 3:
          EXPECT_TRUE((co_await connection.client.ReadExactly(std::span<Element, 4>(bytes))).ok());
          break;
        case 4:
          EXPECT_TRUE((co_await connection.client.ReadExactly({bytes.data(), bytes.size()})).ok());
          break;
      }
      EXPECT_EQ(std::memcmp(bytes.data(), "pong", 4), 0) << way;
    }

    // What is read is at least a byte.
    EXPECT_TRUE((co_await connection.server.Write("a")).ok());
    EXPECT_EQ((co_await connection.client.Read(bytes)).value_or(0), 1U);
    EXPECT_TRUE((co_await connection.server.Write("a")).ok());
    EXPECT_EQ((co_await connection.client.Read(std::span<Element>(bytes))).value_or(0), 1U);
    EXPECT_TRUE((co_await connection.server.Write("a")).ok());
    EXPECT_EQ((co_await connection.client.Read(absl::MakeSpan(bytes))).value_or(0), 1U);
  }());
}

TEST(BufferTest, ArraysAreTakenToo) {
  char text[8] = "ping";
  unsigned char bytes[8] = {1};
  const std::byte fixed[8] = {};
  EXPECT_EQ(MutableBuffer(text).size(), 8U);
  EXPECT_EQ(MutableBuffer(bytes).size(), 8U);
  EXPECT_EQ(MutableBuffer(bytes).data(), reinterpret_cast<char*>(bytes));
  EXPECT_EQ(ConstBuffer(bytes).size(), 8U);
  EXPECT_EQ(ConstBuffer(fixed).size(), 8U);
  static_assert(!std::is_convertible_v<const std::byte(&)[8], MutableBuffer>);
}

TEST(BufferTest, AnArrayOfCharIsTextUpToItsFirstZeroOrAsAWhole) {
  char text[8] = "ping";
  EXPECT_EQ(ConstBuffer(text).size(), 4U);
  EXPECT_EQ(ConstBuffer("ping").size(), 4U);
  const char whole[4] = {'p', 'i', 'n', 'g'};
  EXPECT_EQ(ConstBuffer(whole).size(), 4U);
  EXPECT_EQ(ConstBuffer(text, sizeof(text)).size(), 8U);
}

TEST(BufferTest, AnyObjectsBytesAreTakenByAddressAndSize) {
  int number = 7;
  EXPECT_EQ(ConstBuffer(&number, sizeof(number)).size(), sizeof(int));
  EXPECT_EQ(MutableBuffer(&number, sizeof(number)).data(), reinterpret_cast<char*>(&number));
  static_assert(!std::is_convertible_v<std::vector<int>, ConstBuffer>);
  static_assert(!std::is_convertible_v<std::vector<int>&, MutableBuffer>);
  static_assert(!std::is_convertible_v<const std::string&, MutableBuffer>);
  static_assert(!std::is_convertible_v<std::string_view, MutableBuffer>);
}

TEST(BufferTest, ItsPartsAreCountedFromItsBeginning) {
  std::string text = "hello";
  MutableBuffer all = text;
  EXPECT_EQ(all.first(2).size(), 2U);
  EXPECT_EQ(all.first(9).size(), 5U);
  all.remove_prefix(4);
  EXPECT_EQ(all.size(), 1U);
  EXPECT_EQ(*all.data(), 'o');
  ConstBuffer rest = text;
  rest.remove_prefix(5);
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(ConstBuffer("hello").first(4).size(), 4U);
}

}  // namespace
}  // namespace weft
