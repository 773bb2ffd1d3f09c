#!/usr/bin/env python3
"""Runs one example and holds its output against what is written down.

    output_test.py EXAMPLE GOLDEN [--inverts-lock-order]

The example has to exit with 0 and print nothing on standard error but the line about the I/O backend, and, if it takes
locks in two orders on purpose, what a debug build says of that. GOLDEN.txt is the output itself; GOLDEN.regex is a
regular expression for all of it, whose line ends are not significant.
"""
import difflib
import re
import subprocess
import sys

_BACKEND_NOTICE = re.compile(r"^weft: .*; using epoll\n", re.MULTILINE)
_INVERTED_NOTICE = re.compile(r"^weft: inverted lock order, .*\n", re.MULTILINE)
_TIME_LIMIT_SECONDS = 60


def _difference(golden, output):
    with open(golden, encoding="utf-8") as file:
        expected = file.read()
    if golden.endswith(".regex"):
        if re.fullmatch(expected.replace("\n", "") + r"\n", output):
            return ""
        return "the output does not match %s:\n%s" % (golden, output)
    return "".join(difflib.unified_diff(expected.splitlines(True), output.splitlines(True), golden, "output"))


def main():
    example, golden, *options = sys.argv[1:]
    done = subprocess.run([example], capture_output=True, text=True, timeout=_TIME_LIMIT_SECONDS, check=False)
    errors = _BACKEND_NOTICE.sub("", done.stderr)
    if options == ["--inverts-lock-order"]:
        errors = _INVERTED_NOTICE.sub("", errors)
    difference = _difference(golden, done.stdout)
    if done.returncode != 0 or errors or difference:
        sys.exit("%s: exit status %d\n%s%s" % (example, done.returncode, errors, difference))


if __name__ == "__main__":
    main()
