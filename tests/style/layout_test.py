"""Goal: what a header declares is implemented beside it, or the header says where; no line is wider than 120 columns.

Method: the checks of layout.py over the source tree, each one preceded by small made-up trees that break its rule, so
that a check which has gone blind fails.
"""
import os
import tempfile
import unittest

from tests.style.layout import IN_MORE_FILES, Layout

# A link in the runfiles, whose end lies in the source tree.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))


class LayoutTest(unittest.TestCase):
    maxDiff = None

    def _found(self, check, files):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in files.items():
                path = os.path.join(directory, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return list(getattr(Layout(directory), check)())

    def _finds(self, check, files, *parts):
        found = self._found(check, files)
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def _passes(self, check, files):
        self.assertEqual(self._found(check, files), [])

    def test_a_class_that_is_implemented_elsewhere_is_found(self):
        self._finds("headers_implemented_elsewhere", {
            "include/weft/a.h": "class A final : public B {\n  void F();\n};\n",
            "lib/os/b.cc": "void A::F() {\n}\n",
        }, "include/weft/a.h", "lib/os/b.cc")

    def test_a_nested_class_that_is_implemented_elsewhere_is_found(self):
        self._finds("headers_implemented_elsewhere", {
            "lib/os/a.h": "class A {\n  class Part {\n    Part();\n  };\n};\n",
            "lib/os/b.cc": "A::Part::Part() : one_(1) {\n}\n",
        }, "lib/os/a.h", "lib/os/b.cc")

    def test_a_function_that_is_implemented_elsewhere_is_found(self):
        self._finds("headers_implemented_elsewhere", {
            "lib/os/a.h": "[[nodiscard]] std::optional<int> F(int one,\n                     int two);\n",
            "lib/os/b.cc": "std::optional<int> F(int one, int two) {\n}\n",
        }, "F is implemented in lib/os/b.cc")

    def test_a_header_may_say_where(self):
        self._passes("headers_implemented_elsewhere", {
            "lib/os/a.h": "// The end of it. (b.cc)\nvoid F();\n",
            "lib/os/b.cc": "void F() {\n}\n",
        })

    def test_what_is_implemented_beside_or_in_the_header_or_is_nobody_elses_passes(self):
        self._passes("headers_implemented_elsewhere", {
            "include/weft/sync/a.h": "class A {\n  void F();\n  struct B {\n    void G();\n  };\n};\nvoid H();\n"
                                     "inline void I() {\n}\n",
            "lib/sync/a.cc": "void A::F() {\n}\nvoid A::B::G() {\n}\nvoid H() {\n}\n",
            "lib/net/c.cc": "namespace {\nvoid H() {\n}\n}  // namespace\nvoid I(int) {\n}\n",
        })

    def test_a_class_in_three_files_is_found(self):
        files = {
            "include/weft/a.h": "class A {\n  void F();\n  void G();\n  class B {\n    void H();\n  };\n};\n",
            "lib/os/a.cc": "void A::F() {\n}\n",
        }
        self.assertEqual(self._found("classes_in_many_files", files), [])
        for third in ("void A::G() {\n}\n", "void A::B::H() {\n}\n", "inline void A::G() {\n}\n"):
            with self.subTest(third):
                self.assertEqual(self._found("classes_in_many_files", {**files, "lib/os/b.h": third}), ["A"])

    def test_a_wide_line_is_found(self):
        wide = "//" + " x" * 60 + "\n"
        for path in ("lib/os/a.h", "tests/a.py", "examples/a/a.cc", "bazel/a.bzl"):
            with self.subTest(path):
                self._finds("wide_lines", {path: "\n" + wide}, path + ":2: 122 columns")
        self._passes("wide_lines", {"lib/os/a.h": wide[2:]})

    def test_a_wide_line_in_a_block_of_a_page_is_found(self):
        wide = "x" * 121 + "\n"
        self._finds("wide_lines", {"docs/a.md": wide + "```sh\n" + wide + "```\n" + wide}, "docs/a.md:3")

    def test_what_a_header_declares_is_implemented_beside_it_or_where_it_says(self):
        self.assertEqual(list(Layout(_ROOT).headers_implemented_elsewhere()), [])

    def test_a_class_is_in_two_files_or_there_is_a_reason(self):
        found = Layout(_ROOT).classes_in_many_files()
        self.assertEqual({name: len(paths) for name, paths in found.items()}, IN_MORE_FILES, found)

    def test_no_line_is_wider_than_120_columns(self):
        self.assertEqual(list(Layout(_ROOT).wide_lines()), [])


if __name__ == "__main__":
    unittest.main()
