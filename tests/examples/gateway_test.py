#!/usr/bin/env python3
"""The gateway as its users see it: the main job with its report, error answers, and the drain, on both I/O backends.

    gateway_test.py GATEWAY

What has to come first is waited for by asking the services' own counters; nothing sleeps.
"""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

_TIMEOUT_SECONDS = 120
# Descriptors that are left for requests: 304, with what the gateway keeps for itself.
_DESCRIPTORS = 1200
_REQUESTS = 304
_MAX_UPSTREAM_CONNECTIONS = 256
_SERVICES = ("users", "orders", "payments")
_PATIENT = "X-Timeout-Ms: 100000\r\n"


def _exchange(address, request):
    """Sends bytes, and reads until the server closes."""
    with socket.create_connection(address, timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        return _read_to_end(connection)


def _read_to_end(connection):
    answer = b""
    while True:
        got = connection.recv(65536)
        if not got:
            return answer.decode()
        answer += got


def _status(answer):
    return int(re.match(r"HTTP/1\.1 (\d+) ", answer).group(1))


def _body(answer):
    return json.loads(answer.partition("\r\n\r\n")[2])


def _request(target, method="GET", headers=""):
    return ("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n" % (method, target, headers)).encode()


class _Upstream:
    """A service that answers each request with `answer`, whatever that is, and then hangs up."""

    def __init__(self):
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    got = connection.recv(65536)
                    if not got:
                        break
                    request += got
                try:
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # so that nothing is lost in a reset
                        pass
                except OSError:
                    pass  # the gateway has seen enough

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


class Backend:
    """The tests, once for each backend."""

    IO = None
    NAME = None

    def _environment(self):
        return dict(os.environ, WEFT_IO=self.IO)

    def _run(self, *flags, **options):
        return subprocess.run([GATEWAY, *flags], env=self._environment(), capture_output=True, text=True,
                              timeout=_TIMEOUT_SECONDS, check=False, **options)

    def _serve(self):
        """Starts --serve; the addresses and process ids by name."""
        self.process = subprocess.Popen([GATEWAY, "--serve"], env=self._environment(), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.addCleanup(self._stop)
        self.addresses, self.pids = {}, {}
        for name in _SERVICES + ("gateway",):
            line = self.process.stdout.readline()
            match = re.fullmatch(r"(\w+) +http://(127\.0\.0\.1):(\d+) pid (\d+)\n", line)
            self.assertTrue(match, line)
            self.assertEqual(match.group(1), name)
            self.addresses[name] = (match.group(2), int(match.group(3)))
            self.pids[name] = int(match.group(4))

    def _stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def _error_line(self):
        """The next line on standard error that is not about why epoll was chosen."""
        while True:
            line = self.process.stderr.readline()
            if not line.startswith("weft: "):
                return line

    def _ask(self, name, target, method="GET", headers=""):
        return _exchange(self.addresses[name], _request(target, method, headers))

    def _drain(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=_TIMEOUT_SECONDS)
        self.assertEqual(self.process.returncode, 0, errors)

    def test_the_main_job_holds_and_says_so_in_json(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "report.json")
            done = self._run("--json=" + path, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS)))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(path, encoding="utf-8") as file:
                report = json.load(file)
        self.assertIs(report["ok"], True)
        self.assertEqual([check for check in report["checks"] if not check["held"]], [])
        self.assertGreaterEqual(len(report["checks"]), 14)
        self.assertEqual(report["io_backend"], self.NAME)

        parallel = report["parallel_calls"]
        self.assertEqual(len(parallel["calls_ms"]), 20)
        self.assertGreaterEqual(min(parallel["calls_ms"]), 700)
        self.assertLess(parallel["total_ms"], sum(parallel["calls_ms"]) / 2)
        self.assertGreaterEqual(parallel["moves"], 1)
        for call in range(20):
            self.assertRegex(done.stdout, r"  call-%02d +\|[ .0-9]+\| \d+@" % call)

        failed = report["fan_out"]["failed"]
        self.assertEqual(failed["aborted"], {"users": 1, "orders": 1, "payments": 0})
        self.assertEqual(set(failed["answer"]["cancelled"]), {"users", "orders"})
        self.assertIn("the payments database is down", done.stdout)

        run = report["in_flight"]
        self.assertEqual((run["requests"], run["in_flight_at_once"], run["answered_well"]), (_REQUESTS,) * 3)
        self.assertEqual(set(run["upstream_connections_peak"].values()), {_MAX_UPSTREAM_CONNECTIONS})
        self.assertEqual(set(run["held"].values()), {_MAX_UPSTREAM_CONNECTIONS})
        for number in ("requests_per_s", "p50_ms", "p99_ms", "carriers", "rss_bytes_per_request"):
            self.assertGreater(run[number], 0, number)
        self.assertEqual(report["thread_per_connection"]["answered_well"], _REQUESTS)
        # The lower limit is named, and the count reduced.
        self.assertEqual(report["descriptor_limit"], _DESCRIPTORS)
        self.assertIn("1200 open descriptors", report["reduced"])
        self.assertIn(report["reduced"], done.stdout)

    def test_a_limit_that_leaves_nothing_is_named(self):
        done = self._run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("300 open descriptors", done.stderr)

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = self._run("--serve", "--port=%d" % port)
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:%d is in use by another program" % port, done.stderr)

    def test_answers_to_what_is_wrong(self):
        self._serve()
        user = self._ask("gateway", "/user/7", headers=_PATIENT)
        self.assertEqual(_status(user), 200)
        self.assertEqual(_body(user)["id"], 7)
        self.assertEqual(_status(self._ask("gateway", "/nowhere")), 404)
        self.assertEqual(_status(self._ask("gateway", "/user/seven")), 404)
        self.assertEqual(_status(self._ask("gateway", "/user/7", method="DELETE")), 405)
        for request, status in ((b"nonsense\r\n\r\n", 400),
                                (_request("/", headers="X: %s\r\n" % ("x" * 100000)), 431),
                                (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" +
                                 b"x" * 2000000, 413)):
            answer = _exchange(self.addresses["gateway"], request)
            self.assertEqual(_status(answer), status)
            self.assertIn("\r\nConnection: close\r\n", answer)
        two = (b"GET /user/1 HTTP/1.1\r\nHost: a\r\n" + _PATIENT.encode() + b"\r\n" +
               _request("/user/2", headers=_PATIENT))
        self.assertEqual(re.findall(r'\n{"id":(\d),', _exchange(self.addresses["gateway"], two)), ["1", "2"])

        os.kill(self.pids["payments"], signal.SIGKILL)
        self.assertIn("the payments process was ended by signal 9", self._error_line())
        down = self._ask("gateway", "/user/7", headers=_PATIENT)
        self.assertEqual(_status(down), 502)
        self.assertIn("payments (127.0.0.1:%d)" % self.addresses["payments"][1], _body(down)["error"])
        self._drain()

    def test_a_deadline_is_a_504(self):
        self._serve()
        self._ask("orders", "/gate?state=closed", method="POST")
        late = self._ask("gateway", "/user/7", headers="X-Timeout-Ms: 50\r\n")
        self.assertEqual(_status(late), 504)
        self._drain()

    def test_sigterm_finishes_what_is_in_flight(self):
        self._serve()
        self._ask("users", "/gate?state=closed", method="POST")
        with socket.create_connection(self.addresses["gateway"], timeout=_TIMEOUT_SECONDS) as idle, \
             socket.create_connection(self.addresses["gateway"], timeout=_TIMEOUT_SECONDS) as busy:
            busy.sendall(b"GET /user/7 HTTP/1.1\r\nHost: a\r\nX-Timeout-Ms: 100000\r\n\r\n")
            self.assertEqual(_status(self._ask("users", "/await?counter=held&at_least=1")), 200)
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(_read_to_end(idle), "")  # it was between requests
            with self.assertRaises(OSError):          # and nobody is accepted any more
                while True:
                    socket.create_connection(self.addresses["gateway"], timeout=_TIMEOUT_SECONDS).close()
            self._ask("users", "/gate?state=open", method="POST")
            answer = _read_to_end(busy)
        self.assertEqual(_status(answer), 200)
        self.assertIn("\r\nConnection: close\r\n", answer)
        self._drain()


    def test_a_second_signal_ends_the_drain(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT),
                              (signal.SIGINT, signal.SIGINT)):
            with self.subTest(first=first, second=second):
                self._serve()
                self._ask("users", "/gate?state=closed", method="POST")
                self._ask("orders", "/gate?state=closed", method="POST")
                with socket.create_connection(self.addresses["gateway"], timeout=_TIMEOUT_SECONDS) as idle, \
                     socket.create_connection(self.addresses["gateway"], timeout=_TIMEOUT_SECONDS) as busy, \
                     socket.create_connection(self.addresses["orders"], timeout=_TIMEOUT_SECONDS) as at_service:
                    busy.sendall(b"GET /user/7 HTTP/1.1\r\nHost: a\r\nX-Timeout-Ms: 300000\r\n\r\n")
                    at_service.sendall(b"GET /orders/7 HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertEqual(_status(self._ask("users", "/await?counter=held&at_least=1")), 200)
                    self.assertEqual(_status(self._ask("orders", "/await?counter=held&at_least=2")), 200)
                    self.process.send_signal(first)
                    self.assertEqual(_read_to_end(idle), "")  # so the drain has begun
                    self.process.send_signal(second)
                    self.assertEqual(_read_to_end(busy), "")
                    self.assertEqual(_read_to_end(at_service), "")
                _, errors = self.process.communicate(timeout=_TIMEOUT_SECONDS)
                self.assertEqual(self.process.returncode, 0, errors)

    def test_a_second_signal_ends_the_drain_of_the_baseline(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(second=second):
                server, address = self._role("threads", upstreams="127.0.0.1:1,127.0.0.1:1,127.0.0.1:1")
                with socket.create_connection(address, timeout=_TIMEOUT_SECONDS) as busy:
                    busy.sendall(b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertTrue(busy.recv(1))
                    server.send_signal(signal.SIGTERM)
                    with self.assertRaises(OSError):  # it has closed its listener: no more does it wait for the first
                        while True:
                            socket.create_connection(address, timeout=_TIMEOUT_SECONDS).close()
                    server.send_signal(second)
                    server.wait(timeout=_TIMEOUT_SECONDS)
                self.assertEqual(server.returncode, -second)

    def _role(self, role, upstreams=None):
        """Starts one process of the gateway by itself; it, and its address."""
        flags = ["--role=" + role, "--requests=1"] + (["--upstreams=" + upstreams] if upstreams else [])
        process = subprocess.Popen([GATEWAY, *flags], env=self._environment(), stdout=subprocess.PIPE)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(stop)
        return process, ("127.0.0.1", json.loads(process.stdout.readline())["port"])

    def test_an_upstream_that_answers_wrongly_is_a_502(self):
        good = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"request": ""}'

        def answer(body, status=b"200 OK", headers=b""):
            return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)

        deep = 100000
        cases = {
            "nested arrays": answer(b"[" * deep + b"]" * deep),
            "nested arrays that do not end": answer(b"[" * deep),
            "nested objects": answer(b'{"a":' * deep + b"1" + b"}" * deep),
            "an error that is nested": answer(b'{"error":' * deep + b"1" + b"}" * deep, status=b"500 No"),
            "one more than may be nested": answer(b"[" * 66 + b"]" * 66),
            "bytes that are not UTF-8 in JSON": answer(b'{"name": "\xff\xfe"}'),
            "half a pair of surrogates": answer(b'{"name": "\\ud800"}'),
            "bytes that are not UTF-8 in an error": answer(b"\xff\xfe down", status=b"500 No"),
            "a long error, cut within a letter": answer("x" .encode() + "ä".encode() * 1000, status=b"500 No"),
            "no JSON": answer(b"<html>"),
            "nothing": answer(b""),
            "a number out of range": answer(b"1e999"),
            "204": b"HTTP/1.1 204 No Content\r\n\r\n",
            "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
            "another protocol": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            "a folded line": answer(b"{}", headers=b"X: a\r\n b\r\n"),
            "a chunk with a bad end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
            "no HTTP": b"hello\r\n\r\n",
        }
        users = _Upstream()
        others = [_Upstream() for _ in range(2)]
        for upstream in [users] + others:
            self.addCleanup(upstream.close)
        process, gateway = self._role("gateway", upstreams=",".join(
            "127.0.0.1:%d" % upstream.port for upstream in [users] + others))
        for upstream in others:
            upstream.answer = good
        for what, bytes_ in cases.items():
            with self.subTest(what=what):
                users.answer = bytes_
                answer_ = _exchange(gateway, _request("/user/7", headers=_PATIENT))
                self.assertEqual(_status(answer_), 502, answer_)
                self.assertIn("users (127.0.0.1:%d)" % users.port, _body(answer_)["error"])
        users.answer = good
        self.assertEqual(_status(_exchange(gateway, _request("/user/7", headers=_PATIENT))), 200)
        self.assertIsNone(process.poll())

    def test_a_request_id_may_be_any_bytes(self):
        _, service = self._role("users")
        answer = _exchange(service, b"GET /users/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                    b"X-Request-Id: \xff\xfe\r\n\r\n")
        self.assertEqual(_status(answer), 200)
        self.assertEqual(_body(answer)["request"], "\ufffd\ufffd")


class UringTest(Backend, unittest.TestCase):
    IO = "uring"
    NAME = "io_uring"


class EpollTest(Backend, unittest.TestCase):
    IO = "epoll"
    NAME = "epoll"


if __name__ == "__main__":
    GATEWAY = sys.argv.pop(1)
    unittest.main()
