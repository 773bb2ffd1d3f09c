#!/usr/bin/env python3
"""examples/server.cc answers, rejects who says nothing for two seconds, and names a port that is in use.

    server_test.py SERVER
"""
import itertools
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import unittest

_TIMEOUT_SECONDS = 60


class ServerTest(unittest.TestCase):

    def setUp(self):
        self._start("--timeout=10m")

    def _start(self, *flags, descriptors=None):
        limit = descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
        self.server = subprocess.Popen([SERVER, "--listen=127.0.0.1:0", *flags], stdout=subprocess.PIPE, text=True,
                                       preexec_fn=limit)
        self.addCleanup(self._stop, self.server)
        line = self.server.stdout.readline()
        self.address = re.fullmatch(r"listening on (127\.0\.0\.1):(\d+)\n", line).groups()

    def _leave_no_descriptor(self):
        taken = {int(name) for name in os.listdir("/proc/%d/fd" % self.server.pid)}
        first_free = next(number for number in itertools.count() if number not in taken)
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (first_free, first_free))

    @staticmethod
    def _stop(server):
        server.terminate()
        server.wait()
        server.stdout.close()

    def _connect(self):
        connection = socket.create_connection(self.address, timeout=_TIMEOUT_SECONDS)
        self.addCleanup(connection.close)
        return connection, connection.makefile("r", encoding="utf-8")

    def test_lines_are_answered_with_the_context_of_the_request(self):
        connection, lines = self._connect()
        peer = "%s:%d" % connection.getsockname()
        connection.sendall(b"hello\nworl")
        self.assertEqual(lines.readline(), "request 1 from %s: 5 bytes\n" % peer)
        connection.sendall(b"d!\n")
        self.assertEqual(lines.readline(), "request 1 from %s: 6 bytes\n" % peer)
        other, other_lines = self._connect()
        other.sendall(b"\n")
        self.assertEqual(other_lines.readline(), "request 2 from %s:%d: 0 bytes\n" % other.getsockname())

    def test_who_says_nothing_is_rejected(self):
        self._start()
        _, lines = self._connect()
        self.assertRegex(lines.readline(), r"^rejected: DEADLINE_EXCEEDED")
        self.assertEqual(lines.readline(), "")

    def test_it_outlives_a_shortage_of_descriptors(self):
        self._start("--timeout=10s")
        connection, lines = self._connect()
        connection.sendall(b"hello\n")
        self.assertRegex(lines.readline(), r": 5 bytes\n$")  # it is accepted by now
        self._leave_no_descriptor()
        waiting, waiting_lines = self._connect()
        waiting.sendall(b"hello\n")
        self.assertRegex(lines.readline(), r"^rejected: DEADLINE_EXCEEDED")  # which gives one back
        self.assertRegex(waiting_lines.readline(), r": 5 bytes\n$")

    def test_it_takes_no_more_than_there_are_descriptors_for(self):
        self._start("--timeout=10s", descriptors=64 + 3)
        connections = [self._connect() for _ in range(5)]
        for connection, _ in connections:
            connection.sendall(b"hello\n")
        for _, lines in connections[:3]:
            self.assertRegex(lines.readline(), r": 5 bytes\n$")
        self.assertRegex(connections[0][1].readline(), r"^rejected")
        for _, lines in connections[3:]:  # served when others have been rejected
            self.assertRegex(lines.readline(), r": 5 bytes\n$")

    def _begin_to_end(self):
        """Has a request in flight when SIGTERM comes; its connection."""
        connection, lines = self._connect()
        connection.sendall(b"hello\n")
        self.assertRegex(lines.readline(), r": 5 bytes\n$")
        self.server.terminate()
        with self.assertRaises(OSError):  # its listener is closed
            while True:
                socket.create_connection(self.address, timeout=_TIMEOUT_SECONDS).close()
        return connection, lines

    def test_sigterm_lets_requests_in_flight_finish(self):
        connection, lines = self._begin_to_end()
        connection.sendall(b"hello again\n")
        self.assertRegex(lines.readline(), r": 11 bytes\n$")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(self.server.wait(timeout=_TIMEOUT_SECONDS), 0)

    def test_a_second_signal_ends_it_at_once(self):
        self._begin_to_end()
        self.server.terminate()
        self.assertEqual(self.server.wait(timeout=_TIMEOUT_SECONDS), -signal.SIGTERM)

    def test_a_port_in_use_ends_the_program(self):
        second = subprocess.run([SERVER, "--listen=%s:%s" % self.address], capture_output=True, text=True,
                                timeout=_TIMEOUT_SECONDS, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("EADDRINUSE", second.stderr)


if __name__ == "__main__":
    SERVER = sys.argv.pop(1)
    unittest.main()
