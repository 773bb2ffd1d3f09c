"""Goal: a case of a misuse that proves nothing is found.

Method: made-up cases, a good one and some that are wrong, go through cases.py with the compiler of this configuration.

    cases_test.py COMMAND.json
"""
import json
import os
import sys
import unittest

from tests.compile_fail.cases import Compiler, problem

_COMMAND = sys.argv.pop()
_DIRECTORY = os.environ["TEST_TMPDIR"]
_GOOD = "// A number.\n// expect: unknown type name 'number'\n#ifdef MISUSE\nnumber one;\n#endif\n"


class CasesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        header = cls._write("header.h", "int one_of_two;\n")
        with open(_COMMAND, encoding="utf-8") as file:
            cls._compiler = Compiler(json.load(file), header, os.path.join(_DIRECTORY, "header.pch"))

    @staticmethod
    def _write(name, text):
        path = os.path.join(_DIRECTORY, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _problem(self, text):
        return problem(self._compiler, self._write("case.cc", text))

    def _finds(self, text, part):
        found = self._problem(text)
        self.assertIsNotNone(found)
        self.assertIn(part, found)

    def test_a_good_case_is_good(self):
        self.assertIsNone(self._problem(_GOOD))

    def test_a_case_sees_the_header_that_is_compiled_in_advance(self):
        self.assertIsNone(self._problem(_GOOD + "int two = one_of_two;\n"))

    def test_a_warning_is_a_refusal(self):
        self.assertIsNone(self._problem(
            "// A variable.\n// expect: unused variable 'one'\n#ifdef MISUSE\nstatic int one;\n#endif\n"))

    def test_a_note_belongs_to_its_error(self):
        self.assertIsNone(self._problem(
            "// A function.\n// expect: // not at all\nint one(int) = delete;  // not at all\n"
            "#ifdef MISUSE\nint two = one(1);\n#endif\n"))

    def test_a_misuse_that_compiles_is_found(self):
        self._finds(_GOOD.replace("number one", "int one"), "the misuse compiles")

    def test_a_misuse_that_is_refused_for_another_reason_is_found(self):
        self._finds(_GOOD.replace("number one", "int one = two"), "does not say 'unknown type name 'number''")

    def test_a_sentence_that_comes_later_does_not_count(self):
        self._finds(_GOOD.replace("number one", "int one = two; number three"), "the first error does not say")

    def test_a_twin_that_does_not_compile_is_found(self):
        self._finds(_GOOD + "int two = three;\n", "without the misuse it does not compile")

    def test_a_twin_with_a_warning_is_found(self):
        self._finds(_GOOD + "static int two;\n", "without the misuse it does not compile")

    def test_a_case_without_a_sentence_is_found(self):
        self._finds(_GOOD.replace("expect", "except"), "one line `// expect: SENTENCE`")

    def test_a_case_with_two_sentences_is_found(self):
        self._finds(_GOOD + "// expect: more\n", "one line `// expect: SENTENCE`")

    def test_a_case_may_be_one_for_other_compilers_only(self):
        nowhere, everywhere = ("// where: %s\n#ifdef" % where for where in ("0", "__clang__"))
        self.assertIsNone(self._problem(_GOOD.replace("number one", "int one").replace("#ifdef", nowhere)))
        self._finds(_GOOD.replace("#ifdef", nowhere), "is refused where it is said not to be")
        self.assertIsNone(self._problem(_GOOD.replace("#ifdef", everywhere)))
        self._finds(_GOOD.replace("number one", "int one").replace("#ifdef", everywhere), "the misuse compiles")

    def test_a_case_without_a_misuse_is_found(self):
        self._finds(_GOOD.replace("MISUSE", "OTHER"), "an #ifdef MISUSE")


if __name__ == "__main__":
    unittest.main()
