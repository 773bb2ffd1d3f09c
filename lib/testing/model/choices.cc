#include "lib/testing/model/choices.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
static_assert(kDigits.size() == Choices::kMaxAlternatives);

// Of the places where a thread could be preempted, one in so many, where numbers are drawn: executions that use up
// their preemptions in the first steps are not the interesting ones.
constexpr uint64_t kDrawnSwitch = 6;

}  // namespace

bool Choices::Next() {
  while (length_ > 0 && chosen_[length_ - 1] + 1 == counts_[length_ - 1]) --length_;
  depth_ = 0;
  if (length_ == 0) return false;
  ++chosen_[length_ - 1];
  return true;
}

void Choices::DrawFrom(uint64_t seed) {
  random_ = seed * 0x9e3779b97f4a7c15 | 1;
  Clear();
}

uint64_t Choices::Draw() {  // xorshift64*
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return (random_ * 0x2545f4914f6cdd1d) >> 32;
}

void Choices::Extend(int count, Kind kind) {
  WEFT_CHECK(length_ < kMaxChoices && count <= kMaxAlternatives)
      << "an execution has more than " << kMaxChoices << " choices, or one of " << count << " alternatives";
  int chosen = 0;
  if (random_ != 0 && (kind != Kind::kSwitch || Draw() % kDrawnSwitch == 0)) {
    chosen = static_cast<int>(Draw() % static_cast<uint64_t>(count));
  }
  chosen_[length_] = static_cast<uint8_t>(chosen);
  counts_[length_] = static_cast<uint8_t>(count);
  ++length_;
}

void Choices::StartText() {
  text_.clear();
  writes_text_ = true;
}

std::string Choices::Text() {
  writes_text_ = false;
  return std::move(text_);
}

// Each choice as its number and, since a replay checks it, the highest there was.
void Choices::AppendText(int chosen, int count) {
  text_ += kDigits[static_cast<size_t>(chosen)];
  text_ += kDigits[static_cast<size_t>(count - 1)];
}

bool Choices::Parse(std::string_view text) {
  Clear();
  if (text.size() % 2 != 0 || text.size() / 2 > kMaxChoices) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const size_t chosen = kDigits.find(text[i]);
    const size_t last = kDigits.find(text[i + 1]);
    if (last == std::string_view::npos || chosen > last) return false;
    chosen_[length_] = static_cast<uint8_t>(chosen);
    counts_[length_] = static_cast<uint8_t>(last + 1);
    ++length_;
  }
  return true;
}

}  // namespace weft::internal::model
