#!/usr/bin/env python3
"""examples/tls_echo.cc, as openssl's client and server and it itself see it, on both I/O backends.

    tls_echo_test.py TLS_ECHO
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

_TIMEOUT_SECONDS = 60
_BACKENDS = ("uring", "epoll")


@unittest.skipIf(shutil.which("openssl") is None, "openssl is not installed (Debian: apt-get install openssl)")
class TlsEchoTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.certificate = os.path.join(directory.name, "certificate.pem")
        cls.key = os.path.join(directory.name, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", cls.key,
                        "-out", cls.certificate], check=True, capture_output=True)

    def _start(self, command, **options):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
        self.addCleanup(self._stop, process)
        return process

    @staticmethod
    def _stop(process):
        process.kill()
        process.wait()
        process.stdout.close()

    def _serve(self, backend):
        server = self._start([TLS_ECHO, "--listen=127.0.0.1:0", "--certificate=" + self.certificate,
                              "--key=" + self.key], env={**os.environ, "WEFT_IO": backend})
        return server, re.fullmatch(rb"listening on (.*)\n", server.stdout.readline()).group(1).decode()

    def _ask(self, address, text, host="localhost"):
        return subprocess.run([TLS_ECHO, "--connect=" + address, "--host=" + host, "--authorities=" + self.certificate],
                              input=text, capture_output=True, timeout=_TIMEOUT_SECONDS)

    def _end(self, server):
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(_TIMEOUT_SECONDS), 0)

    def test_s_client_has_its_lines_back_and_a_signal_ends_the_server_meanwhile(self):
        for backend in _BACKENDS:
            with self.subTest(backend=backend):
                server, address = self._serve(backend)
                client = self._start(["openssl", "s_client", "-connect", address, "-CAfile", self.certificate,
                                      "-verify_return_error", "-verify_hostname", "localhost", "-quiet"],
                                     stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
                self.addCleanup(client.stdin.close)
                for line in (b"hello\n", b"and good bye\n"):
                    client.stdin.write(line)
                    client.stdin.flush()
                    self.assertEqual(client.stdout.readline(), line)
                self._end(server)
                self.assertEqual(client.stdout.read(), b"")

    def test_its_client_has_all_back(self):
        for backend in _BACKENDS:
            _, address = self._serve(backend)
            for text in (b"", b"hello", bytes(range(256)) * 8192):
                with self.subTest(backend=backend, size=len(text)):
                    done = self._ask(address, text)
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    self.assertTrue(done.stdout == text, "%d bytes" % len(done.stdout))

    def test_its_client_talks_to_s_server(self):
        server = self._start(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", self.certificate, "-key",
                              self.key, "-rev"], stderr=subprocess.DEVNULL)
        line = server.stdout.readline()
        while line and not line.startswith(b"ACCEPT"):
            line = server.stdout.readline()
        done = self._ask(line.split()[1].decode(), b"stressed\nlive\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"desserts\nevil\n"), done.stderr)

    def test_a_server_that_is_another_is_refused_and_serves_the_next(self):
        for backend in _BACKENDS:
            with self.subTest(backend=backend):
                server, address = self._serve(backend)
                done = self._ask(address, b"secret", host="db.internal")
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertIn(b"hostname mismatch", done.stderr)
                self.assertEqual(self._ask(address, b"hello").stdout, b"hello")
                self._end(server)

    def test_a_client_that_does_not_speak_tls_is_closed_and_the_next_served(self):
        for backend in _BACKENDS:
            with self.subTest(backend=backend):
                server, address = self._serve(backend)
                host, port = address.split(":")
                with socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS) as plain:
                    plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    with plain.makefile("rb") as answer:
                        self.assertNotIn(b"GET", answer.read())  # an alert at most
                self.assertEqual(self._ask(address, b"hello").stdout, b"hello")
                self._end(server)

    def test_a_certificate_that_is_not_there_ends_the_program(self):
        done = subprocess.run([TLS_ECHO, "--certificate=/none.pem", "--key=" + self.key], capture_output=True,
                              timeout=_TIMEOUT_SECONDS)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/none.pem", done.stderr)


if __name__ == "__main__":
    TLS_ECHO = sys.argv.pop(1)
    unittest.main()
