"""Goal: Weft stays cheap to include, and its insides stay small.

Method: weft/weft.h is preprocessed, and so is what its users pay for in any case, Abseil's status and time; the lines
that are left are Weft's own and those of the standard library that only Weft asks for. The headers of weft/internal/
are counted as they stand. Whoever needs more raises the number here, and sees by how much. A build for
ThreadSanitizer has some 20 lines more than the others.

    lines_test.py COMMAND.json HEADER...
"""
import sys
import unittest

from tests.compile.compiler import Compiler

_MOST_PREPROCESSED = 7200
_MOST_INTERNAL = 4500
_ABSEIL = ("absl/status/status.h", "absl/status/statusor.h", "absl/time/time.h")

_COMMAND, _HEADERS = sys.argv[1], sys.argv[2:]


def _preprocessed(*headers):
    text = "".join('#include "%s"\n' % header for header in headers)
    lines = Compiler(_COMMAND).said("-E", "-P", "-Wno-unused-command-line-argument", text=text).splitlines()
    return sum(1 for line in lines if line.strip())


class LinesTest(unittest.TestCase):
    def test_what_weft_adds_to_a_source_that_includes_it_is_bounded(self):
        base = _preprocessed(*_ABSEIL)
        self.assertGreater(base, 10000, "Abseil was not found")
        self.assertLessEqual(_preprocessed(*_ABSEIL, "weft/weft.h") - base, _MOST_PREPROCESSED)

    def test_what_templates_force_into_the_open_is_bounded(self):
        lines = {}
        for header in _HEADERS:
            if "weft/internal/" in header:
                with open(header, encoding="utf-8") as file:
                    lines[header] = len(file.readlines())
        self.assertGreater(len(lines), 10)
        self.assertLessEqual(sum(lines.values()), _MOST_INTERNAL, sorted(lines.items(), key=lambda item: -item[1])[:10])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
