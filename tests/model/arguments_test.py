"""Goal: a model test whose arguments leave nothing to run fails, and says which one.

Method: the test of the lock, with arguments that are right, and that are not.

    arguments_test.py LOCK_TEST
"""
import subprocess
import sys
import unittest

_PROVE = "--gtest_filter=LockModelTest.OneHolderAtATimeAndTheLastOneMayDestroyIt"
_REFUTE = "--gtest_filter=LockModelTest.NoOrderCouldBeWeaker"
_PROGRAM = "--program=2 threads x 3 operations"
_WEAKEN = "--weaken=lock/1:acquire:relaxed"


def _run(*arguments):
    """(did it pass, what it said)."""
    done = subprocess.run([sys.argv[1], "--size=small", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode == 0, done.stdout


class ArgumentsTest(unittest.TestCase):
    def _expect_refused(self, why, *arguments):
        passed, said = _run(*arguments)
        self.assertFalse(passed, said)
        self.assertIn(why, said)

    def test_what_is_chosen_runs(self):
        for arguments in (_PROVE, _PROGRAM), (_REFUTE, _WEAKEN):
            passed, said = _run(*arguments)
            self.assertTrue(passed, said)
            self.assertNotIn('"runs":0,', said)

    def test_a_program_that_there_is_not_fails(self):
        for schedule in [], ["--schedule=00"]:
            self._expect_refused('lock has no program to run; --program is "nope"', _PROVE, "--program=nope", *schedule)

    def test_a_program_that_there_is_not_fails_with_a_weaker_order(self):
        self._expect_refused("lock has no program to run", _REFUTE, _WEAKEN, "--program=nope", "--schedule=00")
        self._expect_refused("lock has no program to run", _REFUTE, _WEAKEN, "--program=nope")

    def test_a_weaker_order_that_there_is_not_fails(self):
        for schedule in [], ["--schedule=00"]:
            self._expect_refused('--weaken is "lock/1:relaxed"', _REFUTE, "--weaken=lock/1:relaxed", *schedule)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
