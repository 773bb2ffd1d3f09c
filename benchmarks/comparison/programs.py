"""The programs that measure, ours and the peers': how they are built, what they can, and how they are run.

A peer that cannot be installed, built or run is left out, with the reason.
"""
import json
import os
import subprocess

from .machine import first_line
from .samples import Sample, check

# What is measured, in this order, and which of our programs does it.
MEASURES = {
    "Floor": "fork_join",
    "FibAll": "fork_join",
    "FibFork": "fork_join",
    "Skynet": "fork_join",
    "Nqueens": "fork_join",
    "Matmul": "fork_join",
    "ForkJoin10": "scope",
    "ForkJoin1000": "scope",
    "ForkJoinMillion": "scope",
    "CancelParked": "scope",
    "ScopedGet1": "scoped_value",
    "ScopedGet10": "scoped_value",
    "ScopedGet100": "scoped_value",
    "ScopedBindGet1": "scoped_value",
    "ScopedBindGet10": "scoped_value",
    "ScopedBindGet100": "scoped_value",
    "ScopedMiss1": "scoped_value",
    "ScopedMiss10": "scoped_value",
    "ScopedMiss100": "scoped_value",
    "Yield": "switch",
    "PingPong": "switch",
    "BlockingCall": "switch",
    "WakeParked": "switch",
    "StrandedLatency": "switch",
    "StrandedAmongBusy": "switch",
    "ChannelOneToOne": "channel",
    "ChannelFourToFour": "channel",
    "RendezvousOneToOne": "channel",
    "RendezvousPingPong": "channel",
    "SelectOfTwo": "channel",
    "SelectOfEight": "channel",
    "SelectThatWaits": "channel",
    "Mutex1": "lock",
    "FreeMutex100": "lock",
    "Mutex100": "lock",
    "Mutex10000": "lock",
    "SharedMutex1": "lock",
    "SharedMutex100": "lock",
    "SharedMutex10000": "lock",
    "Semaphore1": "lock",
    "Semaphore100": "lock",
    "Semaphore10000": "lock",
    "StartJoin10": "thread",
    "StartJoin1000": "thread",
    "ParkUnpark": "thread",
    "ThreadLocalGet1": "thread",
    "ThreadLocalGet10": "thread",
    "SubmitGet": "executor",
    "SubmitGetBounded": "executor",
    "SubmitGetPool": "executor",
    "SleepVirtual": "executor",
    "SleepOsThreads": "executor",
    "HeldByNobody": "fairness",
    "HeldByCall": "fairness",
    "HeldByLoop": "fairness",
    "HeldOutside": "fairness",
    "EchoWaitPlain": "fairness",
    "EchoWaitUring": "fairness",
    "EchoWaitEpoll": "fairness",
    "ParkedTask": "memory",
    "ParkedClosure": "memory",
    "ParkedTenMillion": "memory",
    "ReturnedMemory": "memory",
}
# Of one measure in one program; the slowest takes minutes where nothing has been tuned.
_TIME_LIMIT_SECONDS = 900


class Failed(Exception):
    """A command that did not do what it should; the message says which and why."""


def _run(command, cwd, env=None):
    """What it prints. A failure names the program without its place, for it may come to stand on the page."""
    program = os.path.basename(command[0])
    try:
        done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
                              timeout=_TIME_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed("%s took over %d s" % (program, _TIME_LIMIT_SECONDS)) from error
    except OSError as error:
        raise Failed("%s: %s" % (program, error.strerror)) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Failed("%s ended with status %d: %s" % (program, done.returncode, last))
    return done.stdout


class Bazel:
    """./bazelw in one source tree."""

    def __init__(self, root, startup_flags):
        self._root = root
        self._command = [os.path.join(root, "bazelw")] + startup_flags

    def build(self, flags, targets):
        """The directory that the targets are in, //a/b:c as a/b/c."""
        _run(self._command + ["build"] + flags + targets, self._root)
        return _run(self._command + ["info"] + flags + ["bazel-bin"], self._root).strip()

    def shut_down(self):
        """So that the server does not run beside what is measured."""
        _run(self._command + ["shutdown"], self._root)


class Weft:
    """Our benchmarks in one configuration."""

    def __init__(self, bazel, root, config):
        self.source = "weft-" + config
        self.title = "Weft, " + config
        self.left_out = ""
        self._root = root
        flags = ["--config=opt"] + (["--config=" + config] if config != "opt" else [])
        targets = ["//benchmarks:%s_benchmark" % subject for subject in sorted(set(MEASURES.values()))]
        self._directory = os.path.join(bazel.build(flags, targets), "benchmarks")

    def measure(self, name):
        """A sample for each number of carriers."""
        program = os.path.join(self._directory, MEASURES[name] + "_benchmark")
        report = _run([program, "--benchmark_format=json", "--benchmark_min_time=0.2",
                       "--benchmark_filter=^BM_%s(/|$)" % name], self._root)
        return [self._sample(run) for run in json.loads(report)["benchmarks"]]

    def _sample(self, run):
        if run.get("error_occurred"):
            raise Failed("%s: %s: %s" % (self.source, run["name"], run["error_message"]))
        name, _, carriers = run["name"].removeprefix("BM_").partition("/carriers:")
        return check(Sample(self.source, name, int(carriers or 0), run))


class Peer:
    """A library or language that does the same work."""

    def __init__(self, source, title, packages, build, version):
        self.source = source
        self.title = title
        self.left_out = ""         # why, if it is
        self._packages = packages  # {package: a file that tells that it is there}
        self._build = build        # gives the program's path
        self._version = version    # what is measured, once it is installed
        self.program = ""          # its path, once it is built

    def version(self):
        return self._version()

    def prepare(self, root, install):
        """Installs and builds it, or says why it is left out."""
        missing = [package for package, file in self._packages.items() if not os.path.exists(file)]
        try:
            if missing and not install:
                raise Failed("not installed: " + ", ".join(missing))
            words = [word for pair in self._packages.items() for word in pair]
            _run([os.path.join(root, "tools", "install_packages"), "compare"] + words, root)
            self.program = self._build()
        except Failed as failure:
            self.left_out = str(failure)

    def measure(self, name):
        """A sample for one thread and one for two; none for what it cannot do. What is parked has no number."""
        if name == "ParkedTask":
            return self._samples(name, 1, 0)
        return self._samples(name, 1, 1) + self._samples(name, 2, 2)

    def _samples(self, name, threads, sample_threads):
        """The median of three repetitions, as one sample."""
        runs = [json.loads(line) for line in _run([self.program, str(threads), "3", name], "/").splitlines()]
        runs.sort(key=lambda run: run["ns_per_op"])
        return [check(Sample(self.source, name, sample_threads, runs[len(runs) // 2]))] if runs else []


def debian_version(package):
    return first_line("dpkg-query", "--show", "--showformat=${Version}\n", package) or "of unknown version"


def _output(root, peer):
    return os.path.join(root, ".cache", "peers", peer)


def build_go(root, package, name):
    """The program that the package of benchmarks/peers/go makes."""
    program = os.path.join(_output(root, "go"), name)
    _run(["/usr/bin/go", "build", "-o", program, package], os.path.join(root, "benchmarks", "peers", "go"),
         {"GOCACHE": os.path.join(_output(root, "go"), "cache"), "GOPROXY": "off"})
    return program


def build_tokio(root, name, flags):
    """The program of that name in benchmarks/peers/tokio."""
    target = _output(root, "tokio")
    _run(["/usr/bin/cargo", "build", "--quiet", "--release", "--offline", "--bin", name, "--target-dir", target,
          *flags],
         os.path.join(root, "benchmarks", "peers", "tokio"), {"RUSTC": "/usr/bin/rustc"})
    return os.path.join(target, "release", name)


def peers(bazel, root):
    def built_by_bazel(name):
        def build():
            return os.path.join(bazel.build(["--config=opt"], [target]), "benchmarks", "peers", name, name)
        target = "//benchmarks/peers/" + name
        return build

    return [
        Peer("tbb", "oneTBB", {"libtbb-dev": "/usr/include/oneapi/tbb.h"}, built_by_bazel("tbb"),
             lambda: "%s, clang 19 -O3 -march=native" % debian_version("libtbb-dev")),
        Peer("asio", "Boost.Asio", {"libboost1.81-dev": "/usr/include/boost/url.hpp"}, built_by_bazel("asio"),
             lambda: "%s, clang 19 -O3 -march=native" % debian_version("libboost1.81-dev")),
        Peer("go", "Go", {"golang-go": "/usr/bin/go"}, lambda: build_go(root, ".", "peer"),
             lambda: first_line("/usr/bin/go", "version").removeprefix("go version ")),
        Peer("tokio", "Tokio", {"cargo": "/usr/bin/cargo", "rustc": "/usr/bin/rustc",
                                "librust-tokio-dev": "/usr/share/doc/librust-tokio-dev",
                                "librust-async-channel-dev": "/usr/share/doc/librust-async-channel-dev"},
             lambda: build_tokio(root, "weft-peer-tokio", []),
             lambda: "%s, async-channel %s, %s -C opt-level=3 -C target-cpu=native" % (
                 debian_version("librust-tokio-dev"), debian_version("librust-async-channel-dev"),
                 first_line("/usr/bin/rustc", "--version"))),
    ]
