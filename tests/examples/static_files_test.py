#!/usr/bin/env python3
"""examples/static_files.cc, as curl, wrk and h2load see it, on both I/O backends: what it serves, and that it drains.

    static_files_test.py SERVER
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

_TIMEOUT_SECONDS = 120
_BIG = bytes(range(256)) * 4096 * 3  # 3 MiB: many pieces, and more than a socket takes at once
_BACKENDS = ("uring", "epoll")


class StaticFilesTest(unittest.TestCase):

    def _start(self, backend):
        root = tempfile.TemporaryDirectory()
        self.addCleanup(root.cleanup)
        os.mkdir(os.path.join(root.name, "sub"))
        for name, content in (("index.html", b"<p>hello</p>\n"), ("a b.txt", b"spaces\n"), ("big.bin", _BIG),
                              ("empty.txt", b""), ("sub/index.html", b"below\n")):
            with open(os.path.join(root.name, name), "wb") as file:
                file.write(content)
        os.mkfifo(os.path.join(root.name, "fifo"))
        server = subprocess.Popen([SERVER, "--listen=127.0.0.1:0", "--root=" + root.name], stdout=subprocess.PIPE,
                                  text=True, env={**os.environ, "WEFT_IO": backend})
        self.addCleanup(self._stop, server)
        port = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", server.stdout.readline()).group(1)
        return server, "http://127.0.0.1:" + port

    @staticmethod
    def _stop(server):
        server.kill()
        server.wait()
        server.stdout.close()

    def _need(self, program):
        if shutil.which(program) is None:
            self.skipTest(program + " is not installed")

    def _peer(self, *command):
        self._need(command[0])
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=_TIMEOUT_SECONDS)

    def _curl(self, *arguments):
        done = self._peer("curl", "--silent", "--show-error", "--path-as-is", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def _status(self, *arguments):
        return self._curl("--output", os.devnull, "--write-out", "%{http_code}", *arguments).decode()

    def test_curl_gets_what_is_below_the_root_and_nothing_else(self):
        for backend in _BACKENDS:
            _, url = self._start(backend)
            with self.subTest(backend=backend):
                self.assertEqual(self._curl(url + "/"), b"<p>hello</p>\n")
                self.assertEqual(self._curl(url + "/a%20b.txt?x=1"), b"spaces\n")
                self.assertEqual(self._curl(url + "/sub/"), b"below\n")
                self.assertEqual(self._curl(url + "/empty.txt"), b"")
                self.assertEqual(self._curl(url + "/big.bin"), _BIG)
                for path, status in (("/none", "404"), ("/index.html/x", "404"), ("/sub", "404"), ("/fifo", "404"),
                                     ("/../etc/passwd", "400"), ("/sub/%2e%2e/%2e%2e/etc/passwd", "400"),
                                     ("/%00", "400"), ("/%zz", "400"), ("/%4", "400"), ("/" + "n" * 300, "404")):
                    self.assertEqual(self._status(url + path), status, path)
                self.assertEqual(self._status("--data", "x", url + "/"), "405")

    def test_curl_continues_a_download_and_asks_only_for_what_is_new(self):
        for backend in _BACKENDS:
            _, url = self._start(backend)
            with self.subTest(backend=backend):
                big = url + "/big.bin"
                self.assertEqual(self._curl("--range", "1000-1999", big), _BIG[1000:2000])
                self.assertEqual(self._curl("--range", "-10", big), _BIG[-10:])
                self.assertEqual(self._curl("--continue-at", str(len(_BIG) - 70000), big), _BIG[-70000:])
                self.assertEqual(self._status("--range", "10-", big), "206")
                self.assertEqual(self._status("--header", "Range: bytes=%d-" % len(_BIG), big), "416")
                for ignored in ("bytes=5-1", "bytes=a-", "lines=1-2", "bytes=1-2,4-5"):
                    self.assertEqual(self._status("--header", "Range: " + ignored, big), "200", ignored)
                head = self._curl("--head", big).decode()
                self.assertIn("Content-Length: %d\r\n" % len(_BIG), head)
                tag = re.search(r"ETag: (\S+)\r\n", head).group(1)
                self.assertEqual(self._status("--header", "If-None-Match: " + tag, big), "304")
                self.assertEqual(self._status("--header", 'If-None-Match: "other"', big), "200")
                self.assertEqual(
                    self._status("--header", 'If-Range: "other"', "--header", "Range: bytes=0-1", big), "200")

    def test_wrk_has_every_answer(self):
        for backend in _BACKENDS:
            _, url = self._start(backend)
            with self.subTest(backend=backend):
                done = self._peer("wrk", "--threads=1", "--connections=100", "--duration=3s", "--timeout=60s",
                                  url + "/index.html")
                said = done.stdout.decode()
                self.assertEqual(done.returncode, 0, said)
                self.assertGreater(int(re.search(r"(\d+) requests in", said).group(1)), 0, said)
                self.assertNotIn("Socket errors", said)
                self.assertNotIn("Non-2xx", said)

    def test_h2load_has_every_answer_also_of_pipelines(self):
        for backend in _BACKENDS:
            _, url = self._start(backend)
            with self.subTest(backend=backend):
                done = self._peer("h2load", "--h1", "--requests=2000", "--clients=20", "--max-concurrent-streams=8",
                                  url + "/index.html", url + "/big.bin?ignored", url + "/empty.txt")
                said = done.stdout.decode()
                self.assertEqual(done.returncode, 0, said)
                self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", said)
                self.assertIn("status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx", said)

    def test_a_download_that_has_begun_is_finished_after_sigterm(self):
        self._need("curl")
        for backend in _BACKENDS:
            server, url = self._start(backend)
            with self.subTest(backend=backend):
                with subprocess.Popen(["curl", "--silent", "--limit-rate", "2M", url + "/big.bin"],
                                      stdout=subprocess.PIPE) as curl:
                    first = curl.stdout.read(1)  # it has begun, and most of it is still to come
                    server.send_signal(signal.SIGTERM)
                    self.assertEqual(first + curl.stdout.read(), _BIG)
                    self.assertEqual(curl.wait(_TIMEOUT_SECONDS), 0)
                self.assertEqual(server.wait(_TIMEOUT_SECONDS), 0)


if __name__ == "__main__":
    SERVER = sys.argv.pop(1)
    unittest.main()
