"""tools/symbolize. Goal: it adds the line of the sources to each call of a stack, and passes everything else on."""
import os
import subprocess
import sys
import tempfile
import unittest

_SOURCE = """int Answer() {
  return 42;
}
int main() { return Answer() - 42; }
"""


class SymbolizeTest(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self._program = os.path.join(self._directory.name, "program")
        source = os.path.join(self._directory.name, "answer.cc")
        with open(source, "w", encoding="utf-8") as file:
            file.write(_SOURCE)
        subprocess.run(["clang++-19", "-g", "-O0", "-o", self._program, source], check=True)
        symbols = subprocess.run(["nm", self._program], check=True, capture_output=True, text=True).stdout
        self._address = next(line.split()[0] for line in symbols.splitlines() if line.endswith(" _Z6Answerv"))

    def _symbolize(self, text):
        return subprocess.run(["tools/symbolize"], input=text, check=True, capture_output=True, text=True).stdout

    def test_a_call_gets_its_file_and_line(self):
        for program in self._program, os.path.relpath(self._program):
            call = "    Answer()  (%s+0x%x)\n" % (program, int(self._address, 16))
            lines = self._symbolize("weft: held\n" + call).splitlines()
            self.assertEqual(lines[0], "weft: held")
            self.assertTrue(lines[1].startswith(call.rstrip("\n") + "  at "), lines[1])
            self.assertRegex(lines[1], r"answer\.cc:1(:\d+)?$")

    def test_what_is_not_known_is_passed_on(self):
        for line in ["", "text", "    (unknown)  (/no/such/file+0x12)", "    Answer()  (%s+0xfffffff)" % self._program]:
            self.assertEqual(self._symbolize(line + "\n"), line + "\n")


if __name__ == "__main__":
    sys.exit(unittest.main())
