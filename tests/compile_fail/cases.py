"""Compiles one misuse of Weft, and says whether the compiler refuses it with the sentence that it owes.

A case is a small source:

    // What is misused.
    // expect: a sentence that the compiler prints
    #include "weft/weft.h"
    ...
    #ifdef MISUSE

It may say where its misuse is refused, by an expression of the preprocessor:

    // where: __has_cpp_attribute(clang::lifetime_capture_by)

Without MISUSE it has to compile without a warning, so that nothing but the misuse is refused. With MISUSE the first
error, together with the notes that belong to it, has to have the sentence: whatever comes after it is read by nobody.
Elsewhere than it says, it has to compile with MISUSE too: a compiler that sees more is to be told.
"""
import re
import subprocess

_EXPECT = re.compile(r"^// expect: (.+)$", re.MULTILINE)
_WHERE = re.compile(r"^// where: (.+)$", re.MULTILINE)
_ERROR = re.compile(r"^.*: (?:fatal )?error: ", re.MULTILINE)
_TIME_LIMIT_SECONDS = 60


def first_error(said):
    """What the compiler said of the first error, its notes included."""
    errors = list(_ERROR.finditer(said))
    if not errors:
        return ""
    return said[:errors[1].start()] if len(errors) > 1 else said


class Compiler:
    """The compiler of this configuration, with its flags, and a header that is compiled in advance."""

    def __init__(self, command, header, precompiled):
        # Runfiles have external repositories beside the workspace, not in it.
        self._command = [re.sub(r"^(-I)?external/", r"\1../", word) for word in command]
        self._command += ["-Iinclude", "-Werror", "-fno-color-diagnostics"]
        # Almost all the time of a small source goes into the headers.
        status, said = self._run("-x", "c++-header", header, "-fpch-instantiate-templates", "-o", precompiled)
        if status != 0:
            raise RuntimeError("%s does not compile:\n%s" % (header, said))
        self._precompiled = precompiled

    def _run(self, *args):
        done = subprocess.run(self._command + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=_TIME_LIMIT_SECONDS, check=False)
        return done.returncode, done.stdout

    def compile(self, path, *args):
        """(exit status, what the compiler said)."""
        return self._run("-include-pch", self._precompiled, "-fsyntax-only", *args, path)

    def satisfies(self, expression):
        """Whether an expression of the preprocessor is true."""
        done = subprocess.run(self._command + ["-E", "-x", "c++", "-"], input="#if %s\nyes\n#endif\n" % expression,
                              stdout=subprocess.PIPE, text=True, timeout=_TIME_LIMIT_SECONDS, check=True)
        return "yes" in done.stdout.splitlines()


def problem(compiler, path):
    """What is wrong with a case: a sentence, or None."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    expected = _EXPECT.findall(text)
    if not text.startswith("// ") or len(expected) != 1 or "MISUSE\n" not in text:
        return "a case begins with what is misused, and has one line `// expect: SENTENCE` and an #ifdef MISUSE"
    status, said = compiler.compile(path)
    if status != 0 or said:
        return "without the misuse it does not compile:\n%s" % said
    status, said = compiler.compile(path, "-DMISUSE")
    if not all(compiler.satisfies(expression) for expression in _WHERE.findall(text)):
        return None if status == 0 else "the misuse is refused where it is said not to be:\n%s" % said
    if status == 0:
        return "the misuse compiles"
    if status != 1:
        return "the compiler ended with status %d:\n%s" % (status, said)
    if expected[0] not in first_error(said):
        return "the first error does not say '%s':\n%s" % (expected[0], said)
    return None
