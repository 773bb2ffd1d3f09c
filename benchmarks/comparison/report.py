"""The page of results, in Markdown: what was to be reached, what was, and what the peers do."""
import statistics

from . import targets
from .samples import OURS, spread

# What is written by hand stands between these two, and stays.
BEGIN = "<!-- by hand: what is not met, and why -->\n"
END = "<!-- end of what is by hand -->\n"
NOTHING_BY_HAND = "Nothing has been said about this yet.\n"

_PREFACE = """\
# Results

Written by `./benchmarks/compare`, but for one section. F is the floor: what it costs to create, run and destroy one
coroutine from a hot free list, measured beside everything else. Ratios count, not absolute times.

"""
_TIME = """\
## Time

In multiples of F, an operation. Peer / ours over 1: ours is faster. Elsewhere: the best that is in no package registry,
measured once on this class of machine, where F was %s ns; compared in multiples of F.

""" % targets.FLOOR_NANOS
_PEERS = """\
## The peers

Nanoseconds an operation, and in brackets multiples of ours. Fib and Matmul call one child directly where that is the
peer's own style. A leaf of Matmul is computed by the peer's own compiler, Go's without vectors.

Channels keep 64 values, except for a rendezvous. A channel of Tokio has one receiver: its four to four goes through the
crate async-channel. A contender of a lock finds it held until all of them have begun. All are fair except Go's mutexes:
a goroutine that runs overtakes those that wait, until one of them has waited for a millisecond. Go's semaphore is a
channel of four places. To park is to receive from a channel of one place in Asio and Go, and to wait for a Notify in
Tokio. Rust's compiler keeps the address of the thread-local between looks.

"""


def number(value):
    """Three digits that count."""
    if value >= 99.95:
        return "{:,.0f}".format(value)
    return "{:.1f}".format(value) if value >= 9.995 else "{:.2f}".format(value)


def _optional(value):
    return "" if value is None else number(value)


def spanned(values, unit=1.0):
    """The median, the least and the greatest; or the only one."""
    if len(values) == 1:
        return number(values[0] / unit)
    three = (statistics.median(values), min(values), max(values))
    return "%s (%s..%s)" % tuple(number(value / unit) for value in three)


def _time(row, nanos):
    """Of an operation, or of the whole where people talk of that."""
    return spanned(nanos) + " ns" if row.operations is None else spanned(nanos, 1e6 / row.operations) + " ms"


def met(value, limit):
    return "" if limit is None else "yes" if value <= limit else "**no**"


def table(headings, rows):
    lines = [headings, ["---"] * len(headings)] + rows
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


class Report:
    """The page of one run. Of a peer it wants what programs.Peer has: source, title, version(), left_out."""

    def __init__(self, samples, peers, machine, rounds, warnings):
        self._samples = samples
        self._peers = peers
        self._machine = machine
        self._rounds = rounds
        self._warnings = warnings

    def page(self, by_hand=NOTHING_BY_HAND):
        parts = [self._preface(), self._time(), self._ratios(), self._memory(), self._latency(),
                 "## What is not met, and why\n\n" + BEGIN + by_hand + END,
                 self._scaling(), self._configurations(), self._peer_table()]
        return "\n".join(part for part in parts if part)

    def _preface(self):
        rounds = "%d, ours and theirs in turn; medians, with the least and the greatest" % self._rounds
        if self._rounds < targets.ROUNDS:
            rounds += ". Fewer than %d: a trial, not a result" % targets.ROUNDS
        floors = self._samples.values(OURS, "Floor", 0)
        facts = self._machine + [("rounds", rounds), ("F", spanned(floors) + " ns" if floors else "not measured")]
        facts += [("peer", "%s %s" % (peer.title, peer.version())) for peer in self._there()]
        facts += [("left out", "%s: %s" % (peer.title, peer.left_out)) for peer in self._peers if peer.left_out]
        facts += [("warning", warning) for warning in self._warnings]
        return _PREFACE + table(["", ""], facts)

    def _there(self):
        return [peer for peer in self._peers if not peer.left_out]

    # ---- What was to be reached.

    def _time(self):
        rows = [self._time_row(row, carriers) for row in targets.TIME for carriers in (1, 2)
                if self._samples.values(OURS, row.name, carriers)]
        headings = ["measure", "carriers", "target", "ours", "met", "time", "best peer here", "peer / ours",
                    "elsewhere", "elsewhere / ours"]
        return _TIME + table(headings, rows) if rows else ""

    def _time_row(self, row, carriers):
        floors = self._samples.values(OURS, row.name, carriers, "floors")
        target = row.targets.get(carriers)
        return [row.title, str(carriers), _optional(target), spanned(floors), met(statistics.median(floors), target),
                _time(row, self._samples.values(OURS, row.name, carriers)), *self._best_peer(row, carriers),
                *self._elsewhere(row, carriers, statistics.median(floors))]

    def _best_peer(self, row, threads):
        """Two cells: who and how long, and against ours."""
        medians = [(self._samples.median(peer.source, row.name, threads), peer.title) for peer in self._peers]
        medians = [pair for pair in medians if pair[0] is not None]
        if not medians:
            return "", ""
        nanos, title = min(medians)
        return "%s %s" % (title, _time(row, [nanos])), number(nanos / self._samples.median(OURS, row.name, threads))

    def _elsewhere(self, row, carriers, ours):
        """Two cells: who and how many floors, and against ours."""
        if carriers not in row.elsewhere:
            return "", ""
        who, nanos = row.elsewhere[carriers]
        theirs = targets.floors(nanos)
        return "%s %s" % (who, number(theirs)), number(theirs / ours)

    def _ratios(self):
        rows = []
        for row in targets.RATIOS:
            for carriers in (1, 2, 4):
                ours, other = (self._samples.median(OURS, name, carriers, "floors") for name in (row.name, row.other))
                if None not in (ours, other):
                    rows.append([row.title, str(carriers), number(other), number(ours), number(ours / other),
                                 _optional(row.limit), met(ours / other, row.limit)])
        headings = ["one measure against another", "carriers", "base", "measured", "measured / base", "at most", "met"]
        return "## Ours against ours\n\n" + table(headings, rows) if rows else ""

    def _memory(self):
        rows = []
        for row in targets.MEMORY:
            ours = self._samples.values(OURS, row.name, 0, row.counter)
            if not ours:
                continue
            peers = sorted((self._samples.median(peer.source, row.name, 0, row.counter), peer.title)
                           for peer in self._peers if self._samples.values(peer.source, row.name, 0, row.counter))
            rows.append([row.title, number(row.limit), spanned(ours, row.divisor),
                         met(statistics.median(ours) / row.divisor, row.limit),
                         ", ".join("%s %s" % (title, number(value / row.divisor)) for value, title in peers),
                         row.elsewhere])
        headings = ["measure", "at most", "ours", "met", "peers here", "elsewhere"]
        return "## Resident memory\n\n" + table(headings, rows) if rows else ""

    def _latency(self):
        rows = []
        for row in targets.LATENCY:
            ours = self._samples.values(OURS, row.name, 2, row.counter)
            if ours:
                rows.append([row.title, _optional(row.limit), spanned(ours, 1e3),
                             met(statistics.median(ours) / 1e3, row.limit)])
        if not rows:
            return ""
        left = sum(self._samples.values(OURS, "StrandedLatency", 2, "left_to_owner"))
        return ("## How soon an idle carrier takes what there is\n\n"
                + table(["of two carriers, one computes", "at most, us", "ours, us", "met"], rows)
                + "\nChildren that nobody took while their owner computed, in all rounds: %d.\n" % left)

    # ---- What follows from the same measurements.

    def _scaling(self):
        rows = []
        for row in targets.TIME:
            one, two, four = (self._samples.median(OURS, row.name, carriers, "floors") for carriers in (1, 2, 4))
            if None in (one, two, four):
                continue
            wanted = self._wanted_ratio(row.targets)
            rows.append([row.title, number(one), number(two), number(four), number(one / two), _optional(wanted),
                         "" if wanted is None else met(wanted, one / two),
                         number(four / two), met(four / two, targets.OVERSUBSCRIBED_LIMIT)])
        headings = ["measure", "1 carrier", "2", "4", "1 / 2", "at least", "met",
                    "4 / 2, at most %s" % targets.OVERSUBSCRIBED_LIMIT, "met"]
        return "## From one carrier to two, and four on two processors\n\n" + table(headings, rows) if rows else ""

    @staticmethod
    def _wanted_ratio(wanted):
        """None where the table has one target for any number of carriers, or not both."""
        if wanted.keys() < {1, 2} or wanted[1] == wanted[2]:
            return None
        return wanted[1] / wanted[2]

    def _configurations(self):
        """The other configurations against the optimised one."""
        rows = []
        for source, name, carriers in self._samples.keys():
            if not source.startswith("weft-") or source == OURS or name == "Floor":
                continue
            other, ours = (self._samples.median(who, name, carriers, "floors") for who in (source, OURS))
            if ours is None:
                continue
            rows.append([source.removeprefix("weft-"), name, str(carriers or ""), number(ours), number(other),
                         number(other / ours), met(other / ours, targets.CONFIGURATION_LIMIT)])
        headings = ["configuration", "measure", "carriers", "opt", "it",
                    "it / opt, at most %s" % targets.CONFIGURATION_LIMIT, "met"]
        return "## Other configurations\n\n" + table(headings, rows) if rows else ""

    def _peer_table(self):
        peers = self._there()
        rows = [[name, str(threads or ""), number(self._samples.median(OURS, name, threads))]
                + [self._beside_ours(peer, name, threads) for peer in peers]
                for source, name, threads in self._samples.keys()
                if source == OURS and any(self._samples.values(peer.source, name, threads) for peer in peers)]
        if not rows:
            return ""
        return (_PEERS + "".join(self._other_sizes(peer) for peer in peers)
                + table(["measure", "threads", "Weft"] + [peer.title for peer in peers], rows))

    def _beside_ours(self, peer, name, threads):
        nanos = self._samples.median(peer.source, name, threads)
        if nanos is None:
            return ""
        return "%s (%s)" % (number(nanos), number(nanos / self._samples.median(OURS, name, threads)))

    def _other_sizes(self, peer):
        """A sentence on what is smaller with this peer than with us."""
        sizes = []
        for source, name, threads in self._samples.keys():
            theirs, ours = (self._samples.median(who, name, threads, "size") for who in (peer.source, OURS))
            if source == peer.source and threads == 1 and ours is not None and theirs != ours:
                sizes.append("%s of %d, not %d" % (name, theirs, ours))
        return "%s: %s.\n\n" % (peer.title, "; ".join(sizes)) if sizes else ""


def floor_warnings(samples, limit):
    """A sentence if the floor moved by more than `limit`."""
    values = samples.values(OURS, "Floor", 0)
    if values and spread(values) > limit:
        yield "F moved by %.0f %% from round to round: somebody else was computing" % (100 * spread(values))


def by_hand(page):
    """What somebody has written into an earlier page."""
    if BEGIN not in page or END not in page:
        return NOTHING_BY_HAND
    return page.split(BEGIN, 1)[1].split(END, 1)[0]
