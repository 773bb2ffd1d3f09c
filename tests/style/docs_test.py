"""Goal: README.md, HACKING.md and docs/ show and name only what is there.

Method: the checks of docs.py over the source tree, each one preceded by a small
made-up tree that breaks its rule, so that a check which has gone blind fails.
"""
import os
import tempfile
import unittest

from tests.style.docs import Docs

# A link in the runfiles, whose end lies in the source tree: the pages may name any file of it.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))

_EXAMPLE = "void F() {\n  //! [body]\n  G();\n  if (true) {\n    H();\n  }\n  //! [body]\n}\n"
_TREE = {
    "README.md": "| `WEFT_IO` | `auto`, `epoll` |\n",
    ".bazelrc": "build:asan --copt=-g\n",
    "include/weft/runtime.h": "//   WEFT_IO              auto|epoll\n// A rule\n//   in two lines.\n",
    "examples/BUILD.bazel": 'cc_binary(\n    name = "a",\n    srcs = ["a.cc"],\n)\n',
    "examples/a.cc": _EXAMPLE,
    "examples/README.md": "",
    "tests/base/a_test.cc": "TEST(PlainTest, IsThere) {}\nTEST_P(EverywhereTest, IsThere) {}\n",
    "MODULE.bazel": 'module(\n    version = "1.2.3",\n)\n',
    "include/weft/version.h": "".join("#define WEFT_VERSION_%s\n" % line for line in (
        "MAJOR 1", "MINOR 2", "PATCH 3", 'STRING "1.2.3"')),
    "tests/consumer/WORKSPACE": 'local_repository(\n    name = "weft",\n)\n',
}


class DocsTest(unittest.TestCase):
    maxDiff = None

    def _docs(self, hacking, files):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name, text in {**_TREE, "HACKING.md": hacking, **files}.items():
            path = os.path.join(directory.name, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return Docs(directory.name)

    def _finds(self, check, hacking, files, *parts):
        found = list(getattr(self._docs(hacking, files), check)())
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def _allows(self, check, hacking):
        self._nothing(getattr(self._docs(hacking, {}), check)())

    def _nothing(self, found):
        self.assertEqual("\n".join(found), "")

    def test_an_example_that_is_not_listed_is_found(self):
        program = {"examples/a.cc": "int main() {}\n"}
        self._finds("example_violations", "", program, "a.cc is not listed")
        self._nothing(self._docs("", {**program, "examples/README.md": "`a.cc`\n"}).example_violations())
        self._finds("example_violations", "", {"examples/README.md": "`b.cc`\n"}, "there is no b.cc")
        self._nothing(Docs(_ROOT).example_violations())

    def test_a_changed_block_is_found(self):
        self._finds("changed_blocks", "```cpp\nG();\nif (true) {\n  I();\n}\n```\n", {}, "[body]", "-  H();", "+  I();")

    def test_a_block_of_an_example_is_allowed(self):
        self._allows("changed_blocks", "```cpp\nG();\nif (true) {\n  H();\n}\n```\n")

    def test_a_part_of_a_region_is_not_the_region(self):
        self._finds("changed_blocks", "```cpp\nG();\n```\n", {}, "[body]")

    def test_every_block_is_that_of_an_example(self):
        self._nothing(Docs(_ROOT).changed_blocks())

    def test_a_mark_without_its_pair_is_found(self):
        self._finds("broken_regions", "", {"examples/a.cc": "//! [body]\n"}, "examples/a.cc", "pairs")

    def test_a_marked_example_that_nothing_compiles_is_found(self):
        self._finds("broken_regions", "", {"examples/b.cc": _EXAMPLE}, "examples/b.cc")

    def test_every_marked_example_is_compiled(self):
        self._nothing(Docs(_ROOT).broken_regions())

    def test_a_changed_quotation_is_found(self):
        self._finds("changed_quotations", "```text\nA rule\nin three lines.\n```\n", {}, "in three lines")

    def test_a_changed_build_file_is_found(self):
        self._finds("changed_quotations", '```starlark\nname = "woof",\n```\n', {}, "woof")

    def test_changed_flags_are_found(self):
        self._finds("changed_quotations", "```bazelrc\nbuild --none\n```\n", {}, "build --none")

    def test_quotations_are_allowed_whatever_their_indentation(self):
        self._allows("changed_quotations", '```text\n  A rule\nin two lines.\n```\n```starlark\nname = "weft",\n```\n')

    def test_every_quotation_is_in_the_sources(self):
        self._nothing(Docs(_ROOT).changed_quotations())

    def test_a_missing_file_is_found(self):
        self._finds("missing_names", "See `lib/base/a.cc`.\n", {}, "lib/base/a.cc")

    def test_a_missing_target_is_found(self):
        self._finds("missing_names", "```sh\nrun //examples:b\n```\n", {}, "//examples:b")

    def test_a_missing_configuration_is_found(self):
        self._finds("missing_names", "`--config=tsan`\n", {}, "tsan")

    def test_what_is_there_may_be_named(self):
        self._allows("missing_names", "`examples/a.cc`, `a.cc`, `weft/runtime.h`, `examples/`, `//examples:a`, "
                                      "`//...`, `--config=asan`, `std::mutex`, `/proc`, `x / y`\n")

    def test_every_name_is_of_something(self):
        self._nothing(Docs(_ROOT).missing_names())

    def test_a_function_in_another_file_is_found(self):
        self._finds("misplaced_functions", "| `a.cc`: `F`, `G` |\n", {"lib/base/a.cc": "void F() {}\n"}, "HACKING.md",
                    "a.cc has no G")

    def test_functions_of_a_file_may_be_named(self):
        self._nothing(self._docs("| `base/a.cc`: `F`, `G` |\n", {"lib/base/a.cc": "F(); G();\n"}).misplaced_functions())

    def test_every_function_is_in_its_file(self):
        self._nothing(Docs(_ROOT).misplaced_functions())

    def test_a_missing_test_is_found(self):
        self._finds("missing_tests", "`PlainTest.IsGone`\n", {}, "HACKING.md", "PlainTest.IsGone")

    def test_a_test_of_another_suite_is_found(self):
        self._finds("missing_tests", "", {"docs/from-loom.md": "`OtherTest.IsThere`\n"}, "docs/from-loom.md",
                    "OtherTest")

    def test_tests_that_are_there_may_be_named(self):
        self._allows("missing_tests", "`PlainTest.IsThere`, `EverywhereTest.IsThere`, `Task.Run`\n")

    def test_every_test_that_is_named_is_there(self):
        self._nothing(Docs(_ROOT).missing_tests())

    def test_a_footnote_that_is_not_there_is_found(self):
        self._finds("footnote_violations", "| a | [^2] |\n", {}, "HACKING.md", "no footnote 2")

    def test_a_footnote_that_nothing_refers_to_is_found(self):
        self._finds("footnote_violations", "[^2]: `PlainTest.IsThere`\n", {}, "nothing refers to the footnote 2")

    def test_a_footnote_that_is_there_twice_is_found(self):
        self._finds("footnote_violations", "| [^2] |\n\n[^2]: a\n[^2]: b\n", {}, "2 is there twice")

    def test_a_test_in_a_table_is_found(self):
        self._finds("footnote_violations", "| a | `PlainTest.IsThere` |\n", {}, "PlainTest.IsThere")

    def test_every_footnote_is_there_and_referred_to(self):
        self._nothing(Docs(_ROOT).footnote_violations())

    def test_an_unknown_variable_is_found(self):
        self._finds("variable_violations", "", {"README.md": _TREE["README.md"] + "`WEFT_EYE`\n"}, "WEFT_EYE")

    def test_a_variable_that_is_not_told_of_is_found(self):
        self._finds("variable_violations", "", {"README.md": ""}, "WEFT_IO")

    def test_a_variable_with_another_range_is_found(self):
        self._finds("variable_violations", "", {"README.md": "| `WEFT_IO` | `auto` |\n"}, "WEFT_IO", "auto|epoll")

    def test_the_variables_of_the_readme_are_those_of_the_runtime(self):
        self._nothing(Docs(_ROOT).variable_violations())

    def test_a_version_of_the_header_that_is_not_the_modules_is_found(self):
        self._finds("version_violations", "", {"MODULE.bazel": 'module(\n    version = "1.2.4",\n)\n'}, "1 2 3",
                    "1.2.4")

    def test_the_same_version_is_allowed(self):
        self._allows("version_violations", "")

    def test_the_header_says_the_version_of_the_module(self):
        self._nothing(Docs(_ROOT).version_violations())


if __name__ == "__main__":
    unittest.main()
