#!/usr/bin/env python3
"""Goal: the page of I/O says what was measured: ratios are those of the rounds, ours are held against what is to be
reached, what has not been measured is left out. Method: pages of made-up samples, whose rows are read.
"""
import unittest

from benchmarks.comparison import io_measures, io_report
from benchmarks.comparison.samples import Sample, Samples

_MEASURES = {measure.name: measure for measure in io_measures.MEASURES}


def _served(source, name, size, per_seconds, cpu_us=10.0, **more):
    """A sample for each round. None: the contender failed in that one."""
    return [Sample(source, name, size, {"per_second": per_second, "cpu_us": cpu_us, "server_busy": 0.9,
                                        "client_busy": 0.8, "round": number, **more})
            for number, per_second in enumerate(per_seconds) if per_second is not None]


def _page(samples, by_hand="Nothing.\n"):
    return io_report.IoReport(Samples(samples), io_measures.MEASURES, lambda source: source.title(),
                              [("processor", "made up")]).page(by_hand)


def _cells(page, *beginning):
    """The cells of the first row that begins so."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:len(beginning)] == list(beginning):
            return cells
    raise AssertionError("no row begins with %s in\n%s" % (beginning, page))


class IoReportTest(unittest.TestCase):
    def test_a_ratio_is_the_median_of_the_rounds_own(self):
        # The second round was disturbed: both were slow.
        page = _page(_served("c", "Echo", 100, [100, 10, 100]) + _served("uring", "Echo", 100, [110, 11, 90]))
        self.assertEqual(_cells(page, "100", "Uring")[2:6], ["90.0 (11.0..110)", "1.10", "0.98", "yes"])

    def test_rounds_in_which_the_base_has_failed_have_no_ratio(self):
        page = _page(_served("c", "Echo", 100, [None, 100]) + _served("uring", "Echo", 100, [500, 50]))
        self.assertEqual(_cells(page, "100", "Uring")[3:6], ["0.50", "0.98", "**no**"])

    def test_without_the_base_nothing_is_met_or_missed(self):
        page = _page(_served("uring", "Echo", 9_000, [50]))
        self.assertEqual(_cells(page, "9,000", "Uring")[2:6], ["50.0", "", "", ""])

    def test_peers_have_nothing_to_reach(self):
        page = _page(_served("c", "Echo", 1, [100]) + _served("go", "Echo", 1, [50]))
        self.assertEqual(_cells(page, "1", "Go")[3:6], ["0.50", "", ""])

    def test_processor_time_is_held_against_the_base_and_shown_beside_both_loads(self):
        page = _page(_served("c", "Echo", 1, [100], cpu_us=10) + _served("uring", "Echo", 1, [100], cpu_us=12))
        self.assertEqual(_cells(page, "1", "Uring")[6:], ["12.0", "1.20", "90 %", "80 %"])

    def test_a_measure_without_a_wish_has_no_columns_for_it(self):
        page = _page(_served("nginx", "TlsBulk", 0, [100]) + _served("uring", "TlsBulk", 0, [90]))
        self.assertEqual(_cells(page, "Uring"), ["Uring", "90.0", "0.90", "10.0", "1.00", "90 %", "80 %"])
        self.assertIn("MiB a second", page)

    def test_what_a_program_uses_is_held_against_its_limits(self):
        used = {"wall_s": 1.3, "cpu_s": 0.4, "rss_bytes": 310e6, "round": 1}
        row = _cells(_page([Sample("uring", "Sleeps", 0, used)]), "Uring")
        self.assertEqual(row[1:5], ["1,300", "", "1,200", "**no**"])
        self.assertEqual(row[5:9], ["400", "", "500", "yes"])
        self.assertEqual(row[9:], ["310", "", "300", "**no**"])

    def test_connections_without_an_answer_are_said(self):
        page = _page(_served("go", "Echo", 9_000, [100], unserved=7))
        self.assertIn("Go, 9,000 connections: in one round 7 had no answer", page)

    def test_what_was_not_measured_has_no_section(self):
        page = _page(_served("c", "Echo", 1, [100]))
        self.assertIn("## " + _MEASURES["Echo"].title, page)
        self.assertNotIn(_MEASURES["Http"].title, page)

    def test_what_is_written_by_hand_stays(self):
        self.assertIn("-->\nThe loopback.\n<!--", _page([], by_hand="The loopback.\n"))


if __name__ == "__main__":
    unittest.main()
