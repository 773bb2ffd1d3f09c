"""The ledger of proofs, docs/proof.md: how often each row has to be tried.

tools/prove writes it. //tests/tools:ledger_test holds the page against this.
"""
import collections
import json
import re
import urllib.parse

# Of one line. A row without a number here is refused. A round number below what there was when it was entered, or what
# the row is about: fewer tries mean that a test has lost its cases, or was run at a smaller size.
_MIN_RUNS = {
    "C1": 40_000,
    "C2": 4_000,
    "C3": 102_400,
    "D1": 35_000,
    "F1": 250,
    "F1b": 27,
    "F2": 700,
    "F3": 10_000,
    "G2": 300,
    "K2": 1_000_000,
    "K3": 44_000,
    "L1": 1_000_000,
    "M1": 300,  # the smallest component has no more executions
    "M2": 1,    # as many as it takes to find what the weaker orders break
    "M3": 78,
    "T1": 10_000_000,
    "Z1": 1,
    "depth": 1,
}
_MIN_SECONDS = {"Z1": 3600}

# `what`: what was tried, and in which configuration.
Row = collections.namedtuple("Row", "row what runs seconds")


def read(line):
    """The Row of a line of the page."""
    _, _, row, what, config, runs, _, seconds, _, _ = (cell.strip() for cell in line.split("|"))
    return Row(row, "%s, %s" % (what, config), int(runs.replace(",", "") or 0), float(seconds or 0))


def lines_of(page):
    """Of its text: the lines of the table."""
    return [line for line in page.splitlines() if re.match(r"\| [bn] \|", line)]


def printed_rows(text):
    """The rows that a test or a program printed."""
    return [json.loads(line) for line in re.findall(r'^\{"row":.*\}$', text, re.MULTILINE)]


def logs_of(events):
    """Of Bazel's build events: (test, path) of the log of each run of a test."""
    return [(event["id"]["testResult"]["label"], urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path))
            for event in events if "testResult" in event["id"]
            for output in event["testResult"].get("testActionOutput", []) if output["name"] == "test.log"]


def shortfall(row):
    """Why there are too few tries, in a sentence; empty: there are not."""
    if row.row not in _MIN_RUNS:
        return "%s (%s): tools/ledger.py has no minimum for it" % (row.row, row.what)
    minima = ("runs", row.runs, _MIN_RUNS[row.row]), ("seconds", row.seconds, _MIN_SECONDS.get(row.row, 0))
    for unit, found, least in minima:
        if found < least:
            return "%s (%s): %s %s, and %s are the least" % (
                row.row, row.what, format(int(found), ","), unit, format(least, ","))
    return ""
