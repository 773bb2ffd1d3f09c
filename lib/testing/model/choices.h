// What an execution was free to do, one number for each choice, and which execution comes next.
//
// Every nondeterministic step asks Choose(n) and gets a number below n; 0 is what would happen most naturally (go on
// with the same thread, read the newest store). The numbers in order are the schedule: the same ones give the same
// execution. Next() changes the last number that can still grow, which walks the tree of all executions depth first; at
// random, each number is drawn.
#ifndef WEFT_LIB_TESTING_MODEL_CHOICES_H_
#define WEFT_LIB_TESTING_MODEL_CHOICES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/internal/check.h"

namespace weft::internal::model {

class Choices {
 public:
  // Choices in one execution. Far more than an execution of 1,000 steps has.
  static constexpr int kMaxChoices = 4096;
  static constexpr int kMaxAlternatives = 36;  // a digit or a letter in the text of a schedule

  enum class Kind : uint8_t { kValue, kSwitch };

  // kSwitch: 0 goes on with the same thread; anything else costs a preemption, and is drawn less often.
  int Choose(int count, Kind kind = Kind::kValue) {
    if (count <= 1) return 0;
    if (depth_ == length_) Extend(count, kind);
    WEFT_CHECK(counts_[depth_] == count)
        << "choice " << depth_ << " of an execution had " << static_cast<int>(counts_[depth_])
        << " alternatives and now has " << count
        << ": a program under the model checker depends on something else than its choices";
    if (writes_text_) [[unlikely]]
      AppendText(chosen_[depth_], count);
    return chosen_[depth_++];
  }
  // Whether the next choice is a new one, and not a repetition on the way to where the last execution is left.
  bool IsNew() const { return depth_ == length_; }
  int depth() const { return depth_; }
  // No other alternative of the choice at this depth, or of later ones, will be tried.
  void ForgetFrom(int depth) { length_ = depth; }
  // Notes a choice that was known to make no difference: 0 was taken.
  void NoteForced(int count) {
    if (count > 1 && writes_text_) AppendText(0, count);
  }

  // ---- Between executions.

  // The next execution replays the numbers that are kept.
  void Rewind() { depth_ = 0; }
  // Nothing is kept: the next one is the first of a search, or drawn anew.
  void Clear() { length_ = depth_ = 0; }
  // Depth first: keeps the path to the next execution. False: there is none.
  bool Next();
  // From here on, numbers that are not replayed are drawn.
  void DrawFrom(uint64_t seed);

  // From here on, the choices are written down.
  void StartText();
  // What was written since; ends it.
  std::string Text();
  // False: not the text of a schedule.
  bool Parse(std::string_view text);

 private:
  void Extend(int count, Kind kind);
  uint64_t Draw();
  void AppendText(int chosen, int count);

  int depth_ = 0;
  int length_ = 0;
  uint64_t random_ = 0;  // 0: depth first
  bool writes_text_ = false;
  std::string text_;
  uint8_t chosen_[kMaxChoices];
  uint8_t counts_[kMaxChoices];
};

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_CHOICES_H_
