"""What was measured: samples, and the right answers.

A sample is one measurement of one round: who (`weft-opt`, `weft-noexcept`, or a peer), what (`FibAll`), on how many
carriers or threads (0 where the name does not say), and the numbers of it, `ns_per_op` among them.
"""
import collections
import functools
import statistics

Sample = collections.namedtuple("Sample", "source name threads values")

OURS = "weft-opt"


class WrongAnswer(Exception):
    """A program has computed something else than what it should have."""


def _fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


# As benchmarks/work/matrix.h; A and B repeat after seven and five columns or rows.
@functools.lru_cache(maxsize=None)
def _matmul(size):
    of_a = [sum((i + 1) * ((3 * i + 5 * k) % 7) for i in range(size)) for k in range(7)]
    of_b = [sum(((2 * k + 11 * j) % 5) * (2 * j + 1) for j in range(size)) for k in range(5)]
    return sum(of_a[k % 7] * of_b[k % 5] for k in range(size)) % 2**64 % 1_000_000_007


_RIGHT_ANSWERS = {
    "FibAll": _fib,
    "FibFork": _fib,
    "Skynet": lambda leaves: leaves * (leaves - 1) // 2,
    "Nqueens": {6: 4, 11: 2_680, 14: 365_596}.get,
    "Matmul": _matmul,
}


def check(sample):
    """The sample, if its answer is right; the programs check all the others themselves."""
    if sample.name in _RIGHT_ANSWERS:
        size, found = int(sample.values["size"]), int(sample.values["answer"])
        right = _RIGHT_ANSWERS[sample.name](size)
        if found != right:
            raise WrongAnswer("%s: %s of %d gives %d, and should give %s" % (
                sample.source, sample.name, size, found, right))
    return sample


class Samples:
    """All samples of a run, found by who, what and on how many."""

    def __init__(self, samples):
        self._by_key = collections.defaultdict(list)
        for sample in samples:
            self._by_key[sample[:3]].append(sample.values)

    def values(self, source, name, threads, counter="ns_per_op"):
        return [values[counter] for values in self._by_key.get((source, name, threads), []) if counter in values]

    def all_values(self, source, name, threads):
        """Of each sample, all that was counted."""
        return list(self._by_key.get((source, name, threads), []))

    def median(self, source, name, threads, counter="ns_per_op"):
        """None if there is nothing."""
        values = self.values(source, name, threads, counter)
        return statistics.median(values) if values else None

    def keys(self):
        """(source, name, threads), in the order of their first samples."""
        return list(self._by_key)


def spread(values):
    """From the least to the greatest, as a part of the median."""
    return (max(values) - min(values)) / statistics.median(values)
