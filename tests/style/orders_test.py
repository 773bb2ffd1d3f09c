"""Goal: every order that is not relaxed bears a label of its own and has a partner; every relaxed one has a reason.

Method: the checks of orders.py over the source tree, each one preceded by small made-up trees that break its rule, so
that a check which has gone blind fails.
"""
import functools
import os
import tempfile
import unittest

from tests.style.orders import Orders

# A link in the runfiles, whose end lies in the source tree.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))

_PAIR = """
// [duel/1] release: pairs with [duel/2].
word_.store(1, std::memory_order_release);
// [duel/2] acquire: pairs with [duel/1].
return word_.load(std::memory_order_acquire);
"""


@functools.cache
def _tree():
    return Orders(_ROOT)


class OrdersTest(unittest.TestCase):
    maxDiff = None

    def _orders(self, text, path="lib/os/a.h", **others):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        files = {path: text, **{name.replace("__", "/") + ".h": content for name, content in others.items()}}
        for name, content in files.items():
            path = os.path.join(directory.name, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        return Orders(directory.name)

    def _finds(self, check, text, *parts, **others):
        found = list(getattr(self._orders(text, **others), check)())
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def _passes(self, check, text, **others):
        self.assertEqual(list(getattr(self._orders(text, **others), check)()), [])

    def _holds(self, check):
        self.assertEqual(list(getattr(_tree(), check)()), [])

    # ---- Labels.

    def test_an_order_without_a_label_is_found(self):
        self._finds("orders_without_a_label", "word_.load(std::memory_order_acquire);", "a.h:1", "load is acquire")

    def test_a_fence_without_a_label_is_found(self):
        for fence in ("StoreLoadFence()", "LightFence()", "BiasFence()", "HeavyFence()"):
            with self.subTest(fence):
                self._finds("orders_without_a_label", "// Weaker, all is lost.\n%s;" % fence, "a.h:2")

    def test_an_order_that_is_given_to_a_function_needs_a_label(self):
        self._finds("orders_without_a_label", "Add(-1, std::memory_order_acq_rel);", "Add is acq_rel")

    def test_a_label_in_the_code_without_a_comment_is_found(self):
        self._finds("orders_without_a_label", 'f(WEFT_ORDER("duel/1", std::memory_order_relaxed));', "no comment")

    def test_a_comment_belongs_to_one_statement(self):
        self._finds("orders_without_a_label", """
            // [duel/1] release: pairs with itself.
            a_.store(1, std::memory_order_release);
            b_.store(1, std::memory_order_release);
        """, "a.h:4")
        self._finds("orders_without_a_label", """
            // [duel/1] release: pairs with itself.
            void F() {
              a_.store(1, std::memory_order_release);
            }
        """, "a.h:4")

    def test_a_comment_stands_above_a_statement_or_ends_one_of_its_lines(self):
        self._passes("orders_without_a_label", """
            // [duel/1] release: pairs with
            // itself.
            if (is_new)
              a_.store(1,
                       std::memory_order_release);
            LightFence();  // [duel/2] light: pairs with itself
        """)

    def test_one_label_may_name_both_orders_of_a_compare_exchange(self):
        self._passes("orders_that_differ", """
            // [duel/1] release, acquire on failure: pairs with itself.
            a_.compare_exchange_strong(a, b, std::memory_order_release, std::memory_order_acquire);
            // [duel/2] acq_rel: pairs with itself. On failure nothing is read.
            a_.compare_exchange_strong(a, b, std::memory_order_acq_rel, std::memory_order_relaxed);
        """)

    def test_a_comment_that_speaks_of_another_order_is_found(self):
        self._finds("orders_that_differ", "a_.load(std::memory_order_acquire);  // [duel/1] release: pairs with itself",
                    "is acquire", "says release")
        self._finds("orders_that_differ", "LightFence();  // [duel/1] heavy: pairs with itself", "is light",
                    "says heavy")

    def test_a_label_at_two_operations_is_found(self):
        line = "a_.load(std::memory_order_acquire);  // [duel/1] acquire: pairs with itself\n"
        self._finds("labels_that_stand_twice", line, "duel/1", lib__net__b=line)

    def test_a_label_without_a_partner_is_found(self):
        self._finds("labels_without_a_partner", "LightFence();  // [duel/1] light: weaker, all is lost",
                    "pairs with nothing")

    def test_a_partner_that_does_not_point_back_is_found(self):
        self._finds("labels_without_a_partner", _PAIR + "HeavyFence();  // [duel/3] heavy: pairs with [duel/1]\n",
                    "[duel/3] pairs with [duel/1]", "does not")

    def test_a_partner_in_another_file_is_found_in_a_list(self):
        self._passes("labels_without_a_partner", "LightFence();  // [duel/1] light: pairs with [duel/2] and [duel/3]\n",
                     lib__net__b="HeavyFence();  // [duel/2] heavy: pairs with [duel/1], on the other side\n"
                                 "HeavyFence();  // [duel/3] heavy: pairs with [duel/1]\n")

    def test_a_label_of_no_operation_is_found(self):
        self._finds("labels_that_mean_nothing", _PAIR + "// See [duel/3].\n", "[duel/3]")
        self._finds("labels_that_mean_nothing", _PAIR + "// See [duel/1].\n", "[duel/4]", tests__os__b="// [duel/4]\n")

    # ---- Relaxed.

    def test_a_relaxed_operation_without_a_reason_is_found(self):
        self._finds("relaxed_without_a_reason", "Atomic<int> a_{0};  // a count\na_.load(std::memory_order_relaxed);",
                    "a_.load")

    def test_a_reason_stands_at_the_operation_or_at_the_declaration(self):
        self._passes("relaxed_without_a_reason", """
            // relaxed: a hint.
            Atomic<int> a_{0};
            Atomic<int*> b_[2] = {};  // what is known. relaxed: one writer
            F(a_.load(std::memory_order_relaxed), b_[1].load(std::memory_order_relaxed));
            // relaxed: nobody else knows it yet.
            c_.store(0, std::memory_order_relaxed);
        """)

    def test_a_reason_in_the_header_beside_goes_before_those_of_others(self):
        source = "a_.load(std::memory_order_relaxed);"
        header = "Atomic<int> a_{0};  // relaxed: a hint"
        other = "Atomic<int> a_{0};"
        directory = {"lib__os__a": header, "lib__net__a": other}
        self._passes("relaxed_without_a_reason", source, path="lib/os/a.cc", **directory)
        self._finds("relaxed_without_a_reason", source, "a_.load", path="lib/os/b.cc", **directory)

    def test_the_failure_of_a_compare_exchange_needs_no_reason_of_its_own(self):
        self._passes("relaxed_without_a_reason", """
            // [duel/1] release: pairs with itself.
            a_.compare_exchange_weak(a, b, std::memory_order_release, std::memory_order_relaxed);
        """)

    def test_an_operation_that_names_no_order_is_found(self):
        self._finds("operations_without_an_order", "Atomic<int> a_{0};\na_.store(1);\n", "a_.store names no order")
        for by_operator in ("++a_;", "a_++;", "a_ = 1;", "a_ += 1;"):
            with self.subTest(by_operator):
                self._finds("operations_without_an_order", "Atomic<int> a_{0};\n  %s\n" % by_operator, "a_", "no order")
        self._passes("operations_without_an_order", "Atomic<int> a_[2] = {};\nint b_ = a_ == 1;\n")
        self._passes("operations_without_an_order", "config.load();\nAtomic<int> a_{0};\na_.store(1, order);\n")

    # ---- The tree.

    def test_every_order_has_a_label(self):
        self._holds("orders_without_a_label")

    def test_every_label_names_the_order_that_stands_there(self):
        self._holds("orders_that_differ")

    def test_every_label_stands_at_one_operation(self):
        self._holds("labels_that_stand_twice")

    def test_every_label_has_a_partner_that_points_back(self):
        self._holds("labels_without_a_partner")

    def test_every_label_that_is_spoken_of_stands_somewhere(self):
        self._holds("labels_that_mean_nothing")

    def test_every_relaxed_operation_has_a_reason(self):
        self._holds("relaxed_without_a_reason")

    def test_every_operation_names_its_order(self):
        self._holds("operations_without_an_order")


if __name__ == "__main__":
    unittest.main()
