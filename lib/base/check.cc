#include "weft/internal/check.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace weft::internal {

struct CheckFailure::Message {
  std::ostringstream text;
  bool has_sentence = false;
};

CheckFailure::CheckFailure(const char* file, int line, const char* condition) : message_(new Message) {
  message_->text << file << ':' << line << ": CHECK failed: " << condition;
}

std::ostream& CheckFailure::stream() {
  if (!message_->has_sentence) message_->text << ": ";
  message_->has_sentence = true;
  return message_->text;
}

CheckFailure::~CheckFailure() {
  message_->text << '\n';
  // One call, so that the lines of two threads do not mix. The process ends here: nothing is freed.
  const std::string line = message_->text.str();
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace weft::internal
