"""Goal: the ledger of proofs has no row with fewer tries than it should have.

Method: each line of docs/proof.md is held against the minima of tools/ledger.py, and so are lines that are too small.
"""
import json
import os
import unittest

from tools import ledger

# A link in the runfiles, whose end lies in the source tree.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))

_LINE = "| n | %s | inputs of http | default | %s | 0 | %s | 2026-11-29 |"


def _shortfall(row, runs, seconds):
    return ledger.shortfall(ledger.read(_LINE % (row, runs, seconds)))


class LedgerTest(unittest.TestCase):
    def test_every_row_of_the_page_reaches_its_minimum(self):
        with open(os.path.join(_ROOT, "docs", "proof.md"), encoding="utf-8") as page:
            lines = ledger.lines_of(page.read())
        self.assertGreater(len(lines), 100)
        self.assertEqual([said for said in map(ledger.shortfall, map(ledger.read, lines)) if said], [])

    def test_too_few_runs_are_refused(self):
        self.assertEqual(_shortfall("L1", "1,000,000", "40"), "")
        self.assertEqual(_shortfall("L1", "999,999", "40"),
                         "L1 (inputs of http, default): 999,999 runs, and 1,000,000 are the least")

    def test_no_run_at_all_is_refused_in_any_row(self):
        for row in "M2", "Z1", "depth":
            self.assertEqual(_shortfall(row, "1", "3600"), "")
            self.assertIn(": 0 runs", _shortfall(row, "0", "3600"))

    def test_a_fuzzer_takes_an_hour(self):
        self.assertIn(": 3,599 seconds, and 3,600 are the least", _shortfall("Z1", "1,000,000", "3599"))

    def test_a_row_without_a_minimum_is_refused(self):
        self.assertIn("has no minimum", _shortfall("Z9", "1,000,000", "1"))

    def test_a_printed_row_is_found_among_other_lines(self):
        row = {"row": "L1", "what": "Mutex", "runs": 1000000, "violations": 0, "seconds": 1.5, "seed": 0}
        text = "[ RUN      ] Linearizability\n%s\n{\"rows\": 2}\n[       OK ] {\"row\": 3}\n" % json.dumps(row)
        self.assertEqual(ledger.printed_rows(text), [row])

    def test_a_test_without_a_log_has_no_row(self):
        with_log = {"id": {"testResult": {"label": "//a:b"}}, "testResult": {"testActionOutput": [
            {"name": "test.xml", "uri": "file:///x/test.xml"}, {"name": "test.log", "uri": "file:///x%20y/test.log"}]}}
        without = {"id": {"testResult": {"label": "//a:c"}}, "testResult": {}}
        built = {"id": {"targetCompleted": {"label": "//a:b"}}}
        self.assertEqual(ledger.logs_of([built, with_log, without]), [("//a:b", "/x y/test.log")])

    def test_a_target_that_failed_is_refused(self):
        failed = "| b | //tests/model/... | failed | default | | 1 | | 2026-11-29 |"
        self.assertIn("//tests/model/...", ledger.shortfall(ledger.read(failed)))


if __name__ == "__main__":
    unittest.main()
