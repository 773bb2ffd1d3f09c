// Bindings of scoped values. Goal: what was looked for once is known, however many bindings lie between: a second look
// does not walk. Method: chains of nodes that are made by hand; after the first look they are broken in the middle, so
// that a walk would end there with another answer.
#include "weft/internal/binding.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace weft::internal {
namespace {

constexpr int kDepth = 1000;

struct alignas(8) Key {};

class BindingTest : public ::testing::Test {
 protected:
  // The first is the outermost, and binds `outermost_`; the others bind three other keys, again and again.
  BindingTest() : nodes_(kDepth) {
    nodes_[0].Set(&outermost_, &value_, nullptr);
    for (int i = 1; i < kDepth; ++i) nodes_[i].Set(&others_[i % 3], &value_, &nodes_[i - 1]);
  }
  const BindingNode& innermost() { return nodes_.back(); }
  // A walk would end in the middle, as if nothing were bound further out.
  void Break() { nodes_[kDepth / 2].outer = nullptr; }

  Key outermost_, others_[3], unbound_;
  int value_ = 0;
  std::vector<BindingNode> nodes_;
};

TEST_F(BindingTest, TheInnermostBindingIsFound) {
  EXPECT_EQ(innermost().Find(&outermost_), &nodes_[0]);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(innermost().Find(nodes_[kDepth - i].key), &nodes_[kDepth - i]);
  EXPECT_EQ(innermost().Find(&unbound_), nullptr);
  EXPECT_EQ(nodes_[0].Find(&others_[0]), nullptr);
}

TEST_F(BindingTest, ASecondLookDoesNotWalk) {
  EXPECT_EQ(innermost().Find(&outermost_), &nodes_[0]);
  Break();
  EXPECT_EQ(innermost().Find(&outermost_), &nodes_[0]);
}

TEST_F(BindingTest, ALookFromANewBindingDoesNotWalkAgain) {
  for (int round = 0; round < 3; ++round) {
    BindingNode new_outer, new_inner;
    new_outer.Set(&others_[0], &value_, &innermost());
    new_inner.Set(&others_[1], &value_, &new_outer);
    EXPECT_EQ(new_inner.Find(&outermost_), &nodes_[0]) << round;
    Break();
  }
}

TEST_F(BindingTest, ALookForWhatIsNotBoundDoesNotWalkAgain) {
  // As many keys as a mask cannot tell from each other.
  std::vector<Key> unbound(200);
  for (const Key& key : unbound) {
    EXPECT_EQ(innermost().Find(&key), nullptr);
    // A walk would find it there.
    nodes_[kDepth / 2].key = &key;
    EXPECT_EQ(innermost().Find(&key), nullptr);
    BindingNode inner;
    inner.Set(&others_[0], &value_, &innermost());
    EXPECT_EQ(inner.Find(&key), nullptr);
  }
}

TEST_F(BindingTest, ANewBindingHidesWhatIsKnown) {
  EXPECT_EQ(innermost().Find(&outermost_), &nodes_[0]);
  EXPECT_EQ(innermost().Find(&unbound_), nullptr);
  BindingNode again, first;
  again.Set(&outermost_, &value_, &innermost());
  first.Set(&unbound_, &value_, &again);
  EXPECT_EQ(first.Find(&outermost_), &again);
  EXPECT_EQ(first.Find(&unbound_), &first);
  EXPECT_EQ(innermost().Find(&outermost_), &nodes_[0]);
  EXPECT_EQ(innermost().Find(&unbound_), nullptr);
}

TEST_F(BindingTest, MoreValuesThanABindingRemembersAreFoundAllTheSame) {
  std::vector<Key> keys(100);
  std::vector<BindingNode> nodes(2 * keys.size());
  const BindingNode* outer = &innermost();
  for (size_t i = 0; i < nodes.size(); outer = &nodes[i++]) nodes[i].Set(&keys[i % keys.size()], &value_, outer);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(outer->Find(&keys[i]), &nodes[keys.size() + i]);
    EXPECT_EQ(outer->Find(&outermost_), &nodes_[0]);
    EXPECT_EQ(outer->Find(&unbound_), nullptr);
  }
}

}  // namespace
}  // namespace weft::internal
