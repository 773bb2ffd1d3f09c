#!/usr/bin/env python3
"""Goal: a benchmark program keeps the names and counters that others go by, and its answers are right; if it is not
optimised, it refuses to measure. Method: it is run with small sizes, and what it reports as JSON is read.

    program_test.py PROGRAM SUBJECT measures|refuses
"""
import json
import subprocess
import sys
import unittest

from benchmarks.comparison.programs import MEASURES
from benchmarks.comparison.samples import Sample, check

_COUNTERS = {"ns_per_op", "floors", "operations", "answer"}


def _carriers(name, *numbers):
    return ["%s/carriers:%d" % (name, number) for number in numbers]


_NAMES = {
    "channel": [name for measure in ("BM_ChannelOneToOne", "BM_ChannelFourToFour", "BM_RendezvousOneToOne",
                                     "BM_RendezvousPingPong")
                for name in _carriers(measure, 1, 2, 4)]
               + [name for measure in ("BM_SelectOfTwo", "BM_SelectOfEight", "BM_SelectThatWaits")
                  for name in _carriers(measure, 1)],
    "fork_join": [name for measure in ("BM_FibAll", "BM_FibFork", "BM_Skynet", "BM_Nqueens", "BM_Matmul")
                  for name in _carriers(measure, 1, 2, 4)],
    "lock": [name for lock in ("BM_Mutex", "BM_SharedMutex", "BM_Semaphore") for contenders in (1, 100, 10_000)
             for name in _carriers("%s%d" % (lock, contenders), 1, 2)] + _carriers("BM_FreeMutex100", 1, 2),
    "scope": [name for measure in ("BM_ForkJoin10", "BM_ForkJoin1000", "BM_ForkJoinMillion", "BM_CancelParked")
              for name in _carriers(measure, 1, 2, 4)],
    "scoped_value": [name for measure in ("BM_ScopedGet", "BM_ScopedBindGet", "BM_ScopedMiss")
                     for depth in (1, 10, 100) for name in _carriers("%s%d" % (measure, depth), 1)],
    "switch": _carriers("BM_Yield", 1) + _carriers("BM_PingPong", 1, 2, 4) + _carriers("BM_BlockingCall", 1)
              + _carriers("BM_WakeParked", 2)
              + _carriers("BM_StrandedLatency", 2) + _carriers("BM_StrandedAmongBusy", 2),
    "thread": [name for measure in ("BM_StartJoin10", "BM_StartJoin1000", "BM_ParkUnpark")
               for name in _carriers(measure, 1, 2, 4)]
              + _carriers("BM_ThreadLocalGet1", 1) + _carriers("BM_ThreadLocalGet10", 1),
    "executor": [name for measure in ("BM_SubmitGet", "BM_SubmitGetBounded", "BM_SubmitGetPool")
                 for name in _carriers(measure, 1, 2, 4)]
                + _carriers("BM_SleepVirtual", 1, 2) + _carriers("BM_SleepOsThreads", 1),
    "fairness": ["BM_EchoWaitPlain"] + _carriers("BM_EchoWaitUring", 1, 2, 3, 4)
                + _carriers("BM_EchoWaitEpoll", 1, 2, 3, 4)
                + [name for measure in ("BM_HeldByNobody", "BM_HeldByCall", "BM_HeldByLoop", "BM_HeldOutside")
                   for name in _carriers(measure, 2, 4)],
    "memory": ["BM_ParkedTask", "BM_ParkedClosure", "BM_ParkedTenMillion", "BM_ReturnedMemory"],
}
_MORE_COUNTERS = {
    "BM_ParkedTask": {"bytes_per_thread", "rss_bytes"},
    "BM_ParkedClosure": {"bytes_per_thread", "rss_bytes"},
    "BM_ParkedTenMillion": {"bytes_per_thread", "rss_bytes"},
    "BM_ReturnedMemory": {"peak_bytes", "first_bytes", "rss_bytes"},
    "BM_StrandedLatency/carriers:2": {"first_ns", "last_ns", "left_to_owner"},
    "BM_StrandedAmongBusy/carriers:2": {"first_ns", "last_ns", "left_to_owner"},
    "BM_EchoWaitPlain": {"longest_ns", "median_ns", "first_ns", "requests"},
}


class ProgramTest(unittest.TestCase):
    program = ""
    subject = ""

    def _run(self, *flags):
        return subprocess.run([self.program, "--tiny", *flags], capture_output=True, text=True, check=False)


class MeasuresTest(ProgramTest):
    def setUp(self):
        done = self._run("--benchmark_format=json", "--benchmark_min_time=0.01")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.runs = json.loads(done.stdout)["benchmarks"]

    def test_names_counters_and_answers(self):
        self.assertEqual(sorted(run["name"] for run in self.runs), sorted(_NAMES[self.subject] + ["BM_Floor"]))
        for run in self.runs:
            name = run["name"]
            with self.subTest(name):
                self.assertNotIn("error_occurred", run, run.get("error_message"))
                self.assertLessEqual(_COUNTERS | _MORE_COUNTERS.get(name, set()), set(run))
                self.assertGreater(run["ns_per_op"], 0)
                self.assertGreater(run["floors"], 0)
                check(Sample("test", name.removeprefix("BM_").partition("/")[0], 0, run))

    def test_the_comparison_knows_where_each_is_measured(self):
        names = {run["name"].removeprefix("BM_").partition("/")[0] for run in self.runs} - {"Floor"}
        self.assertEqual(names, {name for name, subject in MEASURES.items() if subject == self.subject} - {"Floor"})


class RefusesTest(ProgramTest):
    def test_what_is_not_optimised_is_not_measured(self):
        done = self._run()
        self.assertEqual(done.returncode, 1)
        self.assertIn("This is not an optimised build", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    ProgramTest.program, ProgramTest.subject, mode = sys.argv[1:]
    case = {"measures": MeasuresTest, "refuses": RefusesTest}[mode]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
