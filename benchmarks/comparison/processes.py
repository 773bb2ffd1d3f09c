"""Servers, their clients, and programs that end by themselves: on which processor each runs, and what it has used.

A server has the first processor that this process may use, and its client the last one. A program that ends by itself
has all of them.
"""
import os
import re
import resource
import select
import socket
import subprocess
import tempfile
import time

from .programs import Failed

_START_SECONDS = 10
# Of one run of a client or a program: far more than any should take.
_RUN_SECONDS = 120


def server_processor():
    return min(os.sched_getaffinity(0))


def client_processor():
    return max(os.sched_getaffinity(0))


def allow_all_descriptors():
    """For this process and those that it starts."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    """Of 127.0.0.1. The kernel does not give the same one to the next who asks."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _pinned_to(processor):
    """For subprocess.Popen; None: the process may use all that this one may."""
    return None if processor is None else lambda: os.sched_setaffinity(0, {processor})


def _failed(command, status, output):
    last = (output.strip() or "no output").splitlines()[-1]
    return Failed("%s ended with status %d: %s" % (os.path.basename(command[0]), status, last))


class Server:
    """A process that serves while a `with` lasts. It prints "listening on 127.0.0.1:PORT", unless its port is given."""

    def __init__(self, command, environment=None, port=None):
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process = None
        self._errors = None
        self.port = port

    @property
    def pid(self):
        return self._process.pid

    def cpu_seconds(self):
        """What all its threads have used: the kernel's clock of the process, which has nanoseconds."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3)

    def __enter__(self):
        self._errors = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE if self.port is None else self._errors,
                                         stderr=self._errors, preexec_fn=_pinned_to(server_processor()))
        try:
            if self.port is None:
                self.port = self._said_port()
            else:
                self._wait_until_it_accepts()
        except Failed as failure:
            said = self._kill().strip()
            raise Failed(": ".join([str(failure), *said.splitlines()[-1:]])) from failure
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind, error, trace):
        died = self._process.poll()
        said = self._kill()
        if died is not None:
            raise _failed(self._command, died, said) from error

    def _kill(self):
        """What it has said on standard error."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        with self._errors as errors:
            errors.seek(0)
            return errors.read()

    def _said_port(self):
        readable, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        line = self._process.stdout.readline().decode() if readable else ""
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
        if not found:
            raise Failed("%s does not say where it listens" % os.path.basename(self._command[0]))
        return int(found[1])

    def _wait_until_it_accepts(self):
        end = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise Failed("%s does not accept connections" % os.path.basename(self._command[0]))


def _run(command, environment=None, processor=None):
    """(what it prints, its usage of the machine, wall time in seconds)."""
    began = time.monotonic()
    with tempfile.TemporaryFile(mode="w+") as output:
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, preexec_fn=_pinned_to(processor))
        ended = os.pidfd_open(process.pid)
        try:
            readable, _, _ = select.select([ended], [], [], _RUN_SECONDS)
            took = time.monotonic() - began
            if not readable:
                raise Failed("%s took over %d s" % (os.path.basename(command[0]), _RUN_SECONDS))
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            os.close(ended)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode != 0:
        raise _failed(command, process.returncode, said)
    return said, usage, took


def run_client(command):
    """(what it prints, the processor time of the client in seconds, wall time in seconds)."""
    said, usage, took = _run(command, processor=client_processor())
    return said, usage.ru_utime + usage.ru_stime, took


def run_program(command, environment=None):
    """What it used: {counter: value}."""
    _, usage, took = _run(command, environment)
    return {"wall_s": took, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_bytes": usage.ru_maxrss * 1024}
