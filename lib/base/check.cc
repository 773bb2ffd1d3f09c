#include "weft/internal/check.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace weft::internal {

struct CheckFailure::Message {
  std::string head;  // "file:line: CHECK failed: condition"
  std::ostringstream sentence;
};

CheckFailure::CheckFailure(const char* file, int line, const char* condition) : message_(new Message) {
  message_->head = std::string(file) + ":" + std::to_string(line) + ": CHECK failed: " + condition;
}

std::ostream& CheckFailure::stream() { return message_->sentence; }

CheckFailure::~CheckFailure() {
  const std::string sentence = message_->sentence.str();
  const std::string line = message_->head + (sentence.empty() ? "" : ": ") + sentence + "\n";
  // One call, so that the lines of two threads do not mix. The process ends here: nothing is freed.
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace weft::internal
