"""The page of ./benchmarks/compare_io, in Markdown."""
import statistics

from .io_programs import OURS
from .report import BEGIN, END, NOTHING_BY_HAND, met, number, spanned, table

_PREFACE = """\
# Results of I/O

Written by `./benchmarks/compare_io`, but for one section. A server has one processor, its client another. Each
contender serves once in each round, one after the other. A ratio is the median of the rounds' own ratios: what
disturbs one contender of a round disturbs its neighbours.

CPU is what the kernel has counted for the whole server process, user and system, divided by the operations. On the
loopback a sender also does the kernel's work of the receiver. Where the client is as busy as a whole processor, the
client is the limit: then operations a second tell little, and CPU tells all.

"""

# {counter: (as the page calls it, what it is divided by)}
_UNITS = {"wall_s": ("wall ms", 1e-3), "cpu_s": ("CPU ms", 1e-3), "rss_bytes": ("resident MB", 1e6)}


class IoReport:
    """`samples` are of (source, measure, size), each with its `round`; `title` names a source."""

    def __init__(self, samples, measures, title, facts):
        self._samples = samples
        self._measures = measures
        self._title = title
        self._facts = facts

    def page(self, by_hand=NOTHING_BY_HAND):
        parts = [_PREFACE + table(["", ""], self._facts), "## What is not met, and why\n\n" + BEGIN + by_hand + END]
        parts += [self._section(measure) for measure in self._measures]
        return "\n".join(part for part in parts if part)

    def _section(self, measure):
        found = [(size, source) for size in measure.sizes for source in measure.contenders
                 if self._by_round(measure, size, source)]
        if not found:
            return ""
        a_server = "per_second" in next(iter(self._by_round(measure, *found[0]).values()))
        rows = self._server_rows(measure, found) if a_server else self._program_rows(measure, found)
        return "## %s\n\n%s%s" % (measure.title, rows, self._unserved(measure))

    def _by_round(self, measure, size, source):
        """{round: values}."""
        return {values["round"]: values for values in self._samples.all_values(source, measure.name, size)}

    def _values(self, measure, size, source, counter):
        return [values[counter] for values in self._by_round(measure, size, source).values()]

    def _ratios(self, measure, size, source, counter):
        """Of the rounds in which both are there, it against the base."""
        ours, base = (self._by_round(measure, size, who) for who in (source, measure.base))
        return [ours[number_][counter] / base[number_][counter] for number_ in ours if number_ in base]

    def _ratio(self, measure, size, source, counter):
        """None without the base."""
        ratios = self._ratios(measure, size, source, counter)
        return statistics.median(ratios) if ratios and source != measure.base else None

    def _value_and_ratio(self, measure, size, source, counter, unit=1.0):
        ratio = self._ratio(measure, size, source, counter)
        return [spanned(self._values(measure, size, source, counter), unit), "" if ratio is None else number(ratio)]

    def _server_rows(self, measure, found):
        base = self._title(measure.base)
        headings = [*([measure.size] if measure.size else []), "who", measure.units + " a second", "/ " + base,
                    *(["at least", "met"] if measure.least else []), "CPU us a " + measure.unit, "/ " + base,
                    "server busy", "client busy"]
        return table(headings, [self._server_row(measure, size, source) for size, source in found])

    def _server_row(self, measure, size, source):
        cells = [number_of(size)] if measure.size else []
        cells += [self._title(source), *self._value_and_ratio(measure, size, source, "per_second")]
        if measure.least:
            ratio = self._ratio(measure, size, source, "per_second") if source in OURS else None
            cells += ["", ""] if ratio is None else [number(measure.least), met(measure.least, ratio)]
        busy = [statistics.median(self._values(measure, size, source, who)) for who in ("server_busy", "client_busy")]
        return cells + [*self._value_and_ratio(measure, size, source, "cpu_us"), *("%.0f %%" % (100 * b) for b in busy)]

    def _program_rows(self, measure, found):
        base = self._title(measure.base)
        headings = ["who"]
        for counter in measure.counters:
            headings += [_UNITS[counter][0], "/ " + base] + (["at most", "met"] if measure.at_most else [])
        rows = []
        for size, source in found:
            row = [self._title(source)]
            for counter in measure.counters:
                unit = _UNITS[counter][1]
                row += self._value_and_ratio(measure, size, source, counter, unit)
                if measure.at_most and source in OURS:
                    limit = measure.at_most[counter]
                    median = statistics.median(self._values(measure, size, source, counter))
                    row += [number(limit / unit), met(median, limit)]
                elif measure.at_most:
                    row += ["", ""]
            rows.append(row)
        return table(headings, rows)

    def _unserved(self, measure):
        """A sentence on each contender that has left connections without an answer."""
        lines = []
        for size in measure.sizes:
            for source in measure.contenders:
                most = max((values.get("unserved", 0) for values in self._by_round(measure, size, source).values()),
                           default=0)
                if most:
                    lines.append("%s, %s %s: in one round %d had no answer in the time that was measured.\n" % (
                        self._title(source), number_of(size), measure.size, most))
        return "\n" + "".join(lines) if lines else ""


def number_of(size):
    return "{:,}".format(size)
