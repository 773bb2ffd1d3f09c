"""Goal: Weft takes the same arguments whichever string_view Abseil has.

It has one of its own, as Debian 12's, or the standard library's.

Method: the suite of arguments is compiled, in each configuration, with an Abseil that was told to use the other one.

    string_view_test.py COMMAND.json SOURCE
"""
import os
import re
import sys
import unittest

from tests.compile.compiler import Compiler

_COMMAND, _SOURCE = sys.argv[1:]
_OPTION = re.compile(r"^(#define ABSL_OPTION_USE_STD_STRING_VIEW) ([012])$", re.MULTILINE)


class StringViewTest(unittest.TestCase):
    def test_the_arguments_are_taken_with_the_other_string_view(self):
        directory = os.environ["TEST_TMPDIR"]
        os.makedirs(os.path.join(directory, "absl/base"))
        with open(Compiler(_COMMAND).header("absl/base/options.h"), encoding="utf-8") as file:
            options = file.read()
        self.assertEqual(len(_OPTION.findall(options)), 1)
        other, same = ("1", "true") if _OPTION.search(options)[2] == "0" else ("0", "false")
        with open(os.path.join(directory, "absl/base/options.h"), "w", encoding="utf-8") as file:
            file.write(_OPTION.sub(r"\1 " + other, options))
        compiler = Compiler(_COMMAND, before=["-I" + directory])
        text = ('#include <string_view>\n#include <type_traits>\n'
                '#include "absl/strings/string_view.h"\n'
                "static_assert(std::is_same_v<absl::string_view, std::string_view> == %s);\n" % same)
        self.assertEqual(compiler.said(text=text), "")
        self.assertEqual(compiler.said(_SOURCE), "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
