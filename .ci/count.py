#!/usr/bin/env python3
"""Counts the test cases of one `bazel test`, from its build events.

Usage: count.py CONFIGURATION EVENTS_FILE EXIT_STATUS FAILURES_FILE
Prints "PASSED FAILED". A target that was not built, or whose test ended without a
verdict on a case of its own, counts as one failure; so does a command that failed
without any other trace, or that ran nothing at all.

Adds each failure to FAILURES_FILE, with its configuration and what it said.
"""
import json
import sys
import urllib.parse
import xml.etree.ElementTree

# Lines of a failure that are kept: its first ones say what was expected, its last ones how the test ended.
MOST_LINES = 40


def excerpt(text):
    lines = text.strip().splitlines()
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = lines[:half] + ["... %d lines more" % (len(lines) - MOST_LINES)] + lines[-half:]
    return "".join("\n    " + line for line in lines)


def said_by(files):
    """What a test has written, or what is left of it."""
    try:
        with open(files["test.log"], encoding="utf-8", errors="replace") as log:
            return excerpt(log.read())
    except (KeyError, OSError):
        return ""


def cases(files):
    """How many passed in one test.xml, and a text for each that failed. A test that ended without a report of its own,
    for example because its time was over, has one case, which does not tell why: what the test has said does."""
    passed, failures = 0, []
    for case in xml.etree.ElementTree.parse(files["test.xml"]).iter("testcase"):
        if case.get("status") == "notrun" or case.find("skipped") is not None:
            continue
        told = [element.text or element.get("message") or "" for kind in ("failure", "error") for element in
                case.findall(kind)]
        if told:
            name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
            reported = any(element.text for kind in ("failure", "error") for element in case.findall(kind))
            failures.append(name + excerpt("\n".join(told)) + ("" if reported else said_by(files)))
        else:
            passed += 1
    return passed, failures


def of_result(event):
    """The same of one run of one test."""
    result = event["testResult"]
    files = {output["name"]: urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
             for output in result.get("testActionOutput", []) if "uri" in output}
    passed, failures = 0, []
    if "test.xml" in files:
        try:
            passed, failures = cases(files)
        except (OSError, xml.etree.ElementTree.ParseError) as error:
            failures = ["its report cannot be read: %s" % error]
    if result.get("status") != "PASSED" and not failures:
        failures = ["%s, and no case says why" % result.get("status") + said_by(files)]
    return passed, failures


def main():
    configuration, events_file, status, failures_file = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    passed, failures = 0, []
    with open(events_file, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event["id"]:
                good, bad = of_result(event)
                passed += good
                failures += ["%s: %s" % (event["id"]["testResult"]["label"], text) for text in bad]
            elif "targetCompleted" in event["id"]:
                # A failed test has its own event, and its target is complete.
                if not event.get("completed", {}).get("success", False):
                    failures.append("%s: was not built" % event["id"]["targetCompleted"]["label"])
    if not failures and (status != 0 or passed == 0):
        failures = ["the command ended with %d, and no test says why" % status]
    with open(failures_file, "a", encoding="utf-8") as out:
        out.writelines("%s: %s\n" % (configuration, text) for text in failures)
    print(passed, len(failures))


if __name__ == "__main__":
    main()
