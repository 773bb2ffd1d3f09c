#!/usr/bin/env python3
"""Counts the test cases of one `bazel test`, from its build events.

Usage: count.py EVENTS_FILE EXIT_STATUS
Prints "PASSED FAILED". A target that was not built, or whose test ended without a
verdict on a case of its own, counts as one failure; so does a command that failed
without any other trace, or that ran nothing at all.
"""
import json
import sys
import urllib.parse
import xml.etree.ElementTree


def cases(report):
    """(passed, failed) of one test.xml."""
    passed = failed = 0
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if case.get("status") == "notrun" or case.find("skipped") is not None:
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed


def main():
    events_file, status = sys.argv[1], int(sys.argv[2])
    passed = failed = 0
    with open(events_file, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event["id"]:
                result = event["testResult"]
                reports = [urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
                           for output in result.get("testActionOutput", []) if output["name"] == "test.xml"]
                good, bad = 0, 0
                for report in reports:
                    try:
                        good, bad = cases(report)
                    except (OSError, xml.etree.ElementTree.ParseError) as error:
                        print("count.py: %s: %s" % (report, error), file=sys.stderr)
                        bad = 1
                if result.get("status") != "PASSED" and bad == 0:
                    bad = 1
                passed += good
                failed += bad
            elif "targetCompleted" in event["id"]:
                # A failed test has its own event, and its target is complete.
                if not event.get("completed", {}).get("success", False):
                    failed += 1
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
    print(passed, failed)


if __name__ == "__main__":
    main()
