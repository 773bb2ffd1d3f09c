// WEFT_CHECK under the checker: in an execution, a failed check is its violation. See weft/internal/check.h.
#include "weft/internal/check.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "lib/testing/model/memory.h"

namespace weft::internal {

struct CheckFailure::Message {
  std::string head;
  std::ostringstream sentence;
};

CheckFailure::CheckFailure(const char* file, int line, const char* condition) : message_(new Message) {
  message_->head = std::string(file) + ":" + std::to_string(line) + ": CHECK failed: " + condition;
}

std::ostream& CheckFailure::stream() { return message_->sentence; }

CheckFailure::~CheckFailure() {
  const std::string sentence = message_->sentence.str();
  char line[512];
  std::snprintf(line, sizeof(line), "%s%s%s", message_->head.c_str(), sentence.empty() ? "" : ": ", sentence.c_str());
  delete message_;
  if (model::InExecution()) model::Violate("%s", line);
  std::fprintf(stderr, "%s\n", line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace weft::internal
