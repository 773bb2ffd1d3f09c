#include "examples/redis/commands.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/redis/integer.h"

namespace redis {
namespace {

using Words = absl::Span<const std::string_view>;

constexpr size_t kAny = std::numeric_limits<size_t>::max();
constexpr size_t kMostOfAName = 64;  // bytes that an error repeats of what a client has said

// The name of a command or an option, whatever the case in which it was written.
std::string NameIn(std::string_view word) {
  std::string name(word.substr(0, kMostOfAName));
  absl::AsciiStrToLower(&name);
  return name;
}

constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
constexpr std::string_view kSyntaxError = "ERR syntax error";

void Ping(Store&, Words words, Reply& reply) {
  if (words.empty()) return reply.Simple("PONG");
  reply.Bulk(words[0]);
}

void Echo(Store&, Words words, Reply& reply) { reply.Bulk(words[0]); }

void Quit(Store&, Words, Reply& reply) { reply.Simple("OK"); }

// Describes no command: clients can do without.
void Command(Store&, Words, Reply& reply) { reply.Array(0); }

// The two settings that redis-benchmark asks for.
void Config(Store&, Words words, Reply& reply) {
  if (NameIn(words[0]) != "get") return reply.Error("ERR only CONFIG GET is known");
  struct Setting {
    std::string_view name;
    std::string_view value;
  };
  Reply found;
  size_t count = 0;
  for (std::string_view name : words.subspan(1)) {
    for (const Setting& setting : {Setting{"save", ""}, Setting{"appendonly", "no"}}) {
      if (NameIn(name) != setting.name) continue;
      found.Bulk(setting.name);
      found.Bulk(setting.value);
      count += 2;
    }
  }
  reply.Array(count);
  reply.Append(found);
}

// The options of a SET. Yields nothing, after an error, if they make no sense.
std::optional<SetOptions> ParseSetOptions(Words words, Reply& reply) {
  const auto fail = [&reply](std::string_view error) {
    reply.Error(error);
    return std::nullopt;
  };
  SetOptions options;
  bool expires = false;
  while (!words.empty()) {
    const std::string option = NameIn(words[0]);
    words.remove_prefix(1);
    if (option == "nx" || option == "xx") {
      const auto condition = option == "nx" ? SetOptions::If::kAbsent : SetOptions::If::kPresent;
      if (options.condition != SetOptions::If::kAlways && options.condition != condition) return fail(kSyntaxError);
      options.condition = condition;
    } else if ((option == "ex" || option == "px") && !words.empty() && !expires) {
      const std::optional<int64_t> count = ParseInteger(words[0]);
      words.remove_prefix(1);
      if (!count.has_value()) return fail(kNotAnInteger);
      if (*count <= 0) return fail("ERR invalid expire time in 'set' command");
      options.expires_in = option == "ex" ? absl::Seconds(*count) : absl::Milliseconds(*count);
      expires = true;
    } else {
      return fail(kSyntaxError);
    }
  }
  return options;
}

void Set(Store& store, Words words, Reply& reply) {
  const std::optional<SetOptions> options = ParseSetOptions(words.subspan(2), reply);
  if (!options.has_value()) return;
  if (!store.Set(words[0], words[1], *options)) return reply.Null();
  reply.Simple("OK");
}

void Get(Store& store, Words words, Reply& reply) {
  const std::optional<std::string> value = store.Get(words[0]);
  if (!value.has_value()) return reply.Null();
  reply.Bulk(*value);
}

// A short command may ask for one large value many times.
constexpr size_t kMaxReplyBytes = size_t{64} << 20;

void MultipleGet(Store& store, Words words, Reply& reply) {
  Reply values;
  values.Array(words.size());
  for (std::string_view key : words) {
    Get(store, {&key, 1}, values);
    if (values.bytes().size() > kMaxReplyBytes) return reply.Error("ERR the reply would have more than 64 MiB");
  }
  reply.Append(values);
}

void Delete(Store& store, Words words, Reply& reply) {
  int64_t deleted = 0;
  for (std::string_view key : words) deleted += store.Delete(key) ? 1 : 0;
  reply.Integer(deleted);
}

void Exists(Store& store, Words words, Reply& reply) {
  int64_t present = 0;
  for (std::string_view key : words) present += store.Exists(key) ? 1 : 0;
  reply.Integer(present);
}

void Expire(Store& store, Words words, Reply& reply) {
  const std::optional<int64_t> seconds = ParseInteger(words[1]);
  if (!seconds.has_value()) return reply.Error(kNotAnInteger);
  reply.Integer(store.Expire(words[0], absl::Seconds(*seconds)) ? 1 : 0);
}

// In seconds, to the nearest, as Redis says it. -1: it does not expire. -2: there is none.
void TimeToLive(Store& store, Words words, Reply& reply) {
  const std::optional<absl::Duration> left = store.TimeToLive(words[0]);
  if (!left.has_value()) return reply.Integer(-2);
  if (*left == absl::InfiniteDuration()) return reply.Integer(-1);
  reply.Integer(absl::ToInt64Seconds(*left + absl::Milliseconds(500)));
}

void Add(Store& store, std::string_view key, int64_t amount, Reply& reply) {
  const absl::StatusOr<int64_t> sum = store.Add(key, amount);
  if (!sum.ok()) return reply.Error(std::string(sum.status().message()));
  reply.Integer(*sum);
}

void Increment(Store& store, Words words, Reply& reply) { Add(store, words[0], 1, reply); }
void Decrement(Store& store, Words words, Reply& reply) { Add(store, words[0], -1, reply); }
void IncrementBy(Store& store, Words words, Reply& reply) {
  const std::optional<int64_t> amount = ParseInteger(words[1]);
  if (!amount.has_value()) return reply.Error(kNotAnInteger);
  Add(store, words[0], *amount, reply);
}

struct Row {
  std::string_view name;
  size_t least;  // words after the name
  size_t most;
  void (*run)(Store& store, Words words, Reply& reply);
};

constexpr Row kCommands[] = {
    {"get", 1, 1, Get},         {"set", 2, kAny, Set},     {"mget", 1, kAny, MultipleGet},
    {"incr", 1, 1, Increment},  {"decr", 1, 1, Decrement}, {"incrby", 2, 2, IncrementBy},
    {"del", 1, kAny, Delete},   {"ttl", 1, 1, TimeToLive}, {"exists", 1, kAny, Exists},
    {"expire", 2, 2, Expire},   {"ping", 0, 1, Ping},      {"echo", 1, 1, Echo},
    {"config", 2, kAny, Config}, {"quit", 0, kAny, Quit},   {"command", 0, kAny, Command},
};

}  // namespace

bool Execute(Store& store, const Arguments& arguments, Reply& reply) {
  if (arguments.empty()) return true;
  const Words words = Words(arguments).subspan(1);
  const std::string name = NameIn(arguments[0]);
  for (const Row& row : kCommands) {
    if (name != row.name) continue;
    if (words.size() < row.least || words.size() > row.most) {
      reply.Error(absl::StrCat("ERR wrong number of arguments for '", name, "' command"));
    } else {
      row.run(store, words, reply);
    }
    return row.run != Quit;
  }
  reply.Error(absl::StrCat("ERR unknown command '", name, "'"));
  return true;
}

}  // namespace redis
