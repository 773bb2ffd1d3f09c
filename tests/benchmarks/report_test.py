#!/usr/bin/env python3
"""Goal: the page of results says what was measured: medians, what is met and what is not, ratios the right way round;
what somebody has written into it stays. Method: pages of made-up samples, whose rows are read.
"""
import unittest

from benchmarks.comparison import programs, report, targets
from benchmarks.comparison.samples import OURS, Sample, Samples, WrongAnswer, check


class _Peer:
    def __init__(self, source, title, left_out=""):
        self.source = source
        self.title = title
        self.left_out = left_out

    def version(self):
        return "1.0"


def _ours(name, carriers, nanos, source=OURS, **more):
    return Sample(source, name, carriers, {"ns_per_op": nanos, "floors": nanos / 5, **more})


_FLOORS = [_ours("Floor", 0, nanos) for nanos in (5, 5, 5.1)]


def _page(samples, peers=(), rounds=9, warnings=(), by_hand=""):
    machine = [("processor", "made up")]
    return report.Report(Samples(_FLOORS + samples), list(peers), machine, rounds, list(warnings)).page(by_hand)


def _cells(page, *beginning):
    """The cells of the first row that begins so."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:len(beginning)] == list(beginning):
            return cells
    raise AssertionError("no row begins with %s in\n%s" % (beginning, page))


class ReportTest(unittest.TestCase):
    def test_the_median_counts_and_the_extremes_are_shown(self):
        page = _page([_ours("Yield", 1, nanos) for nanos in (10, 10, 50)])
        self.assertEqual(_cells(page, "yield", "1")[2:6], ["2.10", "2.00 (2.00..10.0)", "yes", "10.0 (10.0..50.0) ns"])

    def test_what_is_over_its_target_is_not_met(self):
        self.assertEqual(_cells(_page([_ours("Yield", 1, 11)]), "yield", "1")[4], "**no**")

    def test_a_whole_is_shown_in_milliseconds(self):
        self.assertEqual(_cells(_page([_ours("Skynet", 1, 9)]), "skynet, 1M leaves", "1")[5], "10.0 ms")

    def test_the_best_peer_is_the_fastest_on_as_many_threads(self):
        page = _page([_ours("Yield", 1, 10), _ours("Yield", 1, 30, "a"), _ours("Yield", 1, 20, "b"),
                      _ours("Yield", 2, 1, "a")], [_Peer("a", "Ah"), _Peer("b", "Beh")])
        self.assertEqual(_cells(page, "yield", "1")[6:8], ["Beh 20.0 ns", "2.00"])
        self.assertEqual(_cells(page, "Yield", "1"), ["Yield", "1", "10.0", "30.0 (3.00)", "20.0 (2.00)"])

    def test_two_carriers_have_to_be_faster_and_four_not_much_slower(self):
        title = "fib(30), a call, `All` of two"
        page = _page([_ours("FibAll", 1, 20), _ours("FibAll", 2, 10), _ours("FibAll", 4, 13)])
        self.assertEqual(_cells(page, title, "4.00")[4:], ["2.00", "1.70", "yes", "1.30", "**no**"])

    def test_a_measure_may_have_a_limit_in_multiples_of_another(self):
        title = "ping-pong through a rendezvous, against through an event"
        page = _page([_ours("PingPong", 1, 50), _ours("RendezvousPingPong", 1, 60),
                      _ours("PingPong", 2, 50), _ours("RendezvousPingPong", 2, 65)])
        self.assertEqual(_cells(page, title, "1")[2:], ["10.0", "12.0", "1.20", "1.20", "yes"])
        self.assertEqual(_cells(page, title, "2")[4:], ["1.30", "1.20", "**no**"])

    def test_every_row_is_of_something_that_is_measured(self):
        names = {row.name for row in targets.TIME + targets.RATIOS + targets.MEMORY + targets.LATENCY}
        self.assertLessEqual(names | {row.other for row in targets.RATIOS}, set(programs.MEASURES))

    def test_another_configuration_may_be_five_per_cent_slower(self):
        page = _page([_ours("Yield", 1, 100), _ours("Yield", 1, 104, "weft-noexcept"),
                      _ours("PingPong", 1, 100), _ours("PingPong", 1, 106, "weft-noexcept")])
        self.assertEqual(_cells(page, "noexcept", "Yield")[5:], ["1.04", "yes"])
        self.assertEqual(_cells(page, "noexcept", "PingPong")[5:], ["1.06", "**no**"])

    def test_memory_is_held_against_its_limit(self):
        page = _page([_ours("ParkedTask", 0, 100, bytes_per_thread=200.0),
                      _ours("ParkedTask", 0, 100, "a", bytes_per_thread=300.0)], [_Peer("a", "Ah")])
        self.assertEqual(_cells(page, "parked, from a Task, 1M in one scope, bytes a thread")[1:5],
                         ["192", "200", "**no**", "Ah 300"])

    def test_latencies_are_in_microseconds(self):
        page = _page([_ours("StrandedLatency", 2, 90_000, first_ns=40_000, last_ns=90_000, left_to_owner=3)])
        self.assertEqual(_cells(page, "the last of them"), ["the last of them", "100", "90.0", "yes"])
        self.assertIn("in all rounds: 3.", page)

    def test_a_peer_that_is_left_out_is_named_with_the_reason(self):
        page = _page([], [_Peer("a", "Ah", "not installed: libah-dev")])
        self.assertEqual(_cells(page, "left out"), ["left out", "Ah: not installed: libah-dev"])

    def test_other_sizes_are_said(self):
        page = _page([_ours("FibAll", 1, 10, size=30), _ours("FibAll", 1, 10, "a", size=25)], [_Peer("a", "Ah")])
        self.assertIn("Ah: FibAll of 25, not 30.", page)

    def test_few_rounds_and_warnings_are_said(self):
        page = _page([], rounds=1, warnings=["it was loud"])
        self.assertIn("a trial, not a result", page)
        self.assertEqual(_cells(page, "warning"), ["warning", "it was loud"])

    def test_a_floor_that_moves_is_warned_of(self):
        self.assertEqual(list(report.floor_warnings(Samples(_FLOORS), 0.15)), [])
        self.assertEqual(len(list(report.floor_warnings(Samples(_FLOORS + [_ours("Floor", 0, 6)]), 0.15))), 1)

    def test_what_is_written_by_hand_stays(self):
        page = _page([], by_hand="Yield: the clock.\n\nMore.\n")
        self.assertEqual(report.by_hand(page), "Yield: the clock.\n\nMore.\n")
        self.assertEqual(report.by_hand(_page([], by_hand=report.by_hand(page))), report.by_hand(page))

    def test_a_page_without_the_marks_has_nothing_by_hand(self):
        self.assertIn("Nothing", report.by_hand("an older page"))


class AnswerTest(unittest.TestCase):
    def _check(self, name, size, answer):
        return check(Sample("made up", name, 1, {"size": size, "answer": answer}))

    def test_right_answers_pass(self):
        self._check("FibAll", 30, 832_040.0)
        self._check("Skynet", 1_000_000, 499_999_500_000)
        self._check("Nqueens", 14, 365_596)
        self._check("Matmul", 512, 329_736_246)

    def test_a_wrong_answer_is_an_error_that_says_who_and_what(self):
        with self.assertRaisesRegex(WrongAnswer, "made up: Nqueens of 14 gives 365597, and should give 365596"):
            self._check("Nqueens", 14, 365_597)


if __name__ == "__main__":
    unittest.main()
