"""Turns defects on one by one, and runs the tests that reach them, until one fails."""
import collections
import concurrent.futures
import json
import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time

from tools.mutation import sites
from tools.mutation.build import REACHED_BYTES, CompileError

# A test that takes longer hangs.
_MIN_TIMEOUT_SECONDS = 10
_TIMEOUT_FACTOR = 10
_FAR = 5
# A defect may allocate without end.
_MAX_DATA_BYTES = 6 << 30
_KEPT_OUTPUT_BYTES = 4096

Noticed = collections.namedtuple("Noticed", "test how seconds")


def run(program, number, timeout, reached=None):
    """Runs a test program. ("passed" or how it did not, seconds, the end of what it printed)."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "TEST_TMPDIR": directory,
                       "WEFT_MODEL_SIZE": "small",
                       "WEFT_MUTANT": str(number)}
        if reached:
            environment["WEFT_MUTANT_REACHED"] = reached

        def limits():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (_MAX_DATA_BYTES, _MAX_DATA_BYTES))

        begin = time.monotonic()
        process = subprocess.Popen([program, "--gtest_fail_fast", "--gtest_brief=1"], cwd=directory, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=limits)
        output, in_time = _read(process, begin + timeout)
        if in_time:
            try:
                process.wait(max(begin + timeout - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                in_time = False
        try:
            os.killpg(process.pid, signal.SIGKILL)  # also what it has left behind
        except ProcessLookupError:
            pass
        code = process.wait()
        process.stdout.close()
        seconds = time.monotonic() - begin
        if not in_time:
            return "hung", seconds, output
        if code == 0:
            return "passed", seconds, output
        return "failed" if code > 0 else "ended by signal %d" % -code, seconds, output


def _read(process, deadline):
    """(the end of the output, whether it has ended in time)."""
    kept = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return kept.decode(errors="replace"), False
            got = os.read(process.stdout.fileno(), 65536)
            if not got:
                return kept.decode(errors="replace"), True
            kept = (kept + got)[-_KEPT_OUTPUT_BYTES:]


def component_of(root, path):
    """The directory that a file's own tests lie in: "scope" for lib/scope/child.cc and for include/weft/scope.h."""
    parts = path.split("/")
    if parts[0] == "lib":
        return "model" if parts[1:3] == ["testing", "model"] else parts[1]
    header = '"%s"' % path.removeprefix("include/weft/")
    for directory, _, names in sorted(os.walk(os.path.join(root, "lib"))):
        if "BUILD.bazel" not in names:
            continue
        with open(os.path.join(directory, "BUILD.bazel"), encoding="utf-8") as file:
            if re.search(r"public_hdrs = \[[^\]]*%s" % re.escape(header), file.read()):
                return os.path.relpath(directory, os.path.join(root, "lib")).split("/")[0]
    return None


class Experiment:
    """Some defects, all built in, and the tests that may notice them."""

    def __init__(self, build, texts, jobs, patience):
        self._build = build
        self._patience = patience    # seconds that the tests of one may take, all together
        self._texts = texts          # path -> source, of every file that defects are drawn in
        self._jobs = jobs
        self._reached = {}           # test name -> numbers
        self._seconds = {}           # test name -> without a defect
        self._programs = {}
        self.unusable = []           # tests that fail without a defect

    def prepare(self, draw_more):
        """Compiles draw_more([]), and draw_more(those that do not compile) instead of these. Gives what is built in."""
        drawn = draw_more([])
        while True:
            by_path = {}
            for site in drawn:
                by_path.setdefault(site.path, []).append(site)
            self._build.show({path: sites.instrumented(self._texts[path], of_path)
                              for path, of_path in by_path.items()})
            try:
                self._compile(by_path)
                return drawn
            except CompileError as error:
                wrong = [site for site in drawn
                         if any(site.path == path and site.line <= line <= site.last_line
                                for path, line in error.places)]
                if not wrong:
                    raise
                for site in wrong:
                    print("mutants: it does not compile: %s" % site, file=sys.stderr, flush=True)
                drawn = draw_more(wrong)

    def _compile(self, by_path):
        """All that is affected; at first what is likely to show what does not compile."""
        headers = {path for path in by_path if path.endswith(".h")}
        objects = {found.path: found for path in by_path for found in self._build.affected(path)}
        order = []
        while headers:
            found = max(objects.values(), key=lambda candidate: (len(candidate.headers & headers),
                                                                 candidate.source.startswith("tests/")))
            if not found.headers & headers:
                break
            order.append(found)
            headers -= found.headers
        order += [found for found in objects.values() if found.source in by_path and found not in order]
        order += [found for found in objects.values() if found not in order]
        with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
            pending = [pool.submit(self._build.object, found) for found in order]
            try:
                for i, done in enumerate(pending):
                    done.result()
                    print("\rmutants: compiled %d of %d " % (i + 1, len(order)), end="", file=sys.stderr, flush=True)
            except CompileError:
                for waiting in pending:
                    waiting.cancel()
                raise
            finally:
                print(file=sys.stderr)

    def measure_once(self, drawn, path):
        """measure(), of which the outcome is kept in a file, for another run of the same draw."""
        key = [self.digest(), sorted(site.key for site in drawn)]
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                kept = json.load(file)
            if kept["key"] == key:
                self._programs, self._seconds = kept["programs"], kept["seconds"]
                self._reached = {name: set(numbers) for name, numbers in kept["reached"].items()}
                return
            os.unlink(path)  # the programs are about to be overwritten
        self.measure(drawn)
        reached = {name: sorted(numbers) for name, numbers in self._reached.items()}
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"key": key, "programs": self._programs, "seconds": self._seconds, "reached": reached}, file)
        os.rename(path + ".new", path)

    def digest(self, test=None):
        """Of the sources of a test, or of all; "" if there is none of that name."""
        tests = self._build.tests
        return self._build.digest(tests.values() if test is None else [tests[test]] if test in tests else [])

    def measure(self, drawn):
        """Links the tests that have anything of it, and runs each once: which defects does it reach, in what time?"""
        affected = {found.path for site in drawn for found in self._build.affected(site.path)}
        tests = [test for test in self._build.tests.values() if affected & {found.path for found in test.objects}]
        numbers = [site.number for site in drawn]
        for test in sorted(tests, key=lambda test: test.name):
            self._programs[test.name] = self._build.link(test)
            with tempfile.NamedTemporaryFile() as reached:
                reached.truncate(REACHED_BYTES)
                how, seconds, output = run(self._programs[test.name], 0, 600, reached.name)
                if how != "passed":
                    print("mutants: %s %s without a defect, and is left out:\n%s" % (test.name, how, output),
                          file=sys.stderr)
                    self.unusable.append(test.name)
                    continue
                # Without looking: how long it takes when it is asked.
                with open(reached.name, "rb") as file:
                    bytes_ = file.read()
            self._reached[test.name] = {number for number in numbers if bytes_[number]}
            self._seconds[test.name] = seconds
            print("mutants: %s reaches %d in %.1f s" % (test.name, len(self._reached[test.name]), seconds),
                  file=sys.stderr,
                  flush=True)

    def tests_of(self, site):
        """Those that reach it, the nearest first, then the quickest; a far one before a near one that is slow."""
        near = component_of(self._build.root, site.path)
        names = [name for name, numbers in self._reached.items() if site.number in numbers]
        return sorted(names, key=lambda name: (self._seconds[name] + 0.1) * (1 if name.split("/")[1] == near else _FAR))

    def try_one(self, site):
        """A Noticed, or None."""
        begin = time.monotonic()
        for name in self.tests_of(site):
            if time.monotonic() - begin > self._patience:
                break
            timeout = max(_MIN_TIMEOUT_SECONDS, _TIMEOUT_FACTOR * self._seconds[name])
            how, seconds, _ = run(self._programs[name], site.number, timeout)
            if how != "passed":
                return Noticed(name, how, seconds)
        return None

    def try_all(self, drawn, told):
        """Calls told(site, Noticed or None) for each, as they come."""
        lock = threading.Lock()

        def work(site):
            noticed = self.try_one(site)
            with lock:
                told(site, noticed)

        with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
            for done in [pool.submit(work, site) for site in drawn]:
                done.result()
