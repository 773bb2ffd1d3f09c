"""Goal: what a user does wrong that the compiler can see, it refuses, and says in a sentence what to do instead.

Method: each case (cases.py says what that is) is compiled twice with the compiler and the flags of this configuration,
as it is right and as it is misused. Every shard takes its part of the cases; each is counted as one.

    compile_fail_test.py COMMAND.json CASE...
"""
import json
import os
import sys
import time
from xml.etree import ElementTree

from tests.compile_fail.cases import Compiler, problem


def _report(results, path):
    suite = ElementTree.Element("testsuite", name="compile_fail", tests=str(len(results)),
                                failures=str(sum(found is not None for _, found, _ in results)))
    for name, found, seconds in results:
        case = ElementTree.SubElement(suite, "testcase", name=name, classname="compile_fail", time="%.3f" % seconds)
        if found is not None:
            ElementTree.SubElement(case, "failure", message=found.splitlines()[0]).text = found
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def main():
    command_file, *cases = sys.argv[1:]
    shard = int(os.environ.get("TEST_SHARD_INDEX", "0"))
    shards = int(os.environ.get("TEST_TOTAL_SHARDS", "1"))
    if "TEST_SHARD_STATUS_FILE" in os.environ:
        with open(os.environ["TEST_SHARD_STATUS_FILE"], "w", encoding="utf-8"):
            pass  # that it is there says that this program knows of shards
    directory = os.environ["TEST_TMPDIR"]
    with open(command_file, encoding="utf-8") as file:
        compiler = Compiler(json.load(file), "include/weft/weft.h", os.path.join(directory, "weft.pch"))

    results = []
    for case in sorted(cases)[shard::shards]:
        begin = time.monotonic()
        found = problem(compiler, case)
        results.append((os.path.splitext(os.path.basename(case))[0], found, time.monotonic() - begin))
    if "XML_OUTPUT_FILE" in os.environ:
        _report(results, os.environ["XML_OUTPUT_FILE"])
    for name, found, _ in results:
        if found is not None:
            print("FAILED: %s: %s" % (name, found))
    sys.exit(any(found is not None for _, found, _ in results))


if __name__ == "__main__":
    main()
