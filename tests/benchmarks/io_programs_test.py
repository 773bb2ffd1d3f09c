#!/usr/bin/env python3
"""Goal: the programs of ./benchmarks/compare_io do what they are measured for, on both backends, and what watches them
tells a failure from a result. Method: each serves or works once, in small.

    io_programs_test.py DIRECTORY      of the programs
"""
import filecmp
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest

from benchmarks.comparison import io_programs, processes
from benchmarks.comparison.programs import Failed

_ON_BOTH = [{"WEFT_IO": backend} for backend in io_programs.OURS]


def _program(name):
    return os.path.join(ProgramTest.directory, name)


class ProgramTest(unittest.TestCase):
    directory = ""

    def setUp(self):
        self.scratch = self.enterContext(tempfile.TemporaryDirectory())


class EchoTest(ProgramTest):
    def _load(self, server, connections):
        said, cpu_seconds, _ = processes.run_client(
            [_program("io/load"), str(server.port), str(connections), "20", "100", str(server.pid)])
        self.assertGreater(cpu_seconds, 0)
        return json.loads(said)

    def test_every_server_serves_every_connection(self):
        servers = [processes.Server([_program("io/echo_server")], environment) for environment in _ON_BOTH]
        for server in servers + [processes.Server([_program("peers/c/echo")])]:
            with server:
                found = self._load(server, 20)
                self.assertGreater(found["operations"], 20)
                self.assertEqual(found["unserved"], 0)
                self.assertGreaterEqual(found["seconds"], 0.1)
                self.assertGreater(found["server_cpu_seconds"], 0)
                self.assertLess(found["server_cpu_seconds"], server.cpu_seconds())

    def test_a_client_whose_server_has_gone_fails(self):
        with processes.Server([_program("peers/c/echo")]) as server:
            port, pid = server.port, server.pid
        with self.assertRaisesRegex(Failed, "load ended with status 1"):
            processes.run_client([_program("io/load"), str(port), "1", "10", "10", str(pid)])


class ServerTest(ProgramTest):
    def test_a_server_that_dies_while_it_should_serve_has_failed(self):
        with self.assertRaisesRegex(Failed, "ended with status -9"):
            with processes.Server([_program("peers/c/echo")]) as server:
                os.kill(server.pid, 9)
                os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)

    def test_a_server_that_says_nothing_has_failed(self):
        with self.assertRaisesRegex(Failed, "does not say where it listens"):
            with processes.Server(["/bin/true"]):
                self.fail("it serves")

    def test_http_answers_as_go_does(self):
        for environment in _ON_BOTH:
            with processes.Server([_program("io/http_server")], environment) as server:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                for _ in range(2):
                    connection.request("GET", "/")
                    response = connection.getresponse()
                    self.assertEqual((response.status, response.read()), (200, b"Hello, world!\n"))
                    self.assertRegex(response.getheader("Date"), r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
                connection.close()

    @unittest.skipUnless(shutil.which("openssl"), "there is no openssl to make a certificate with")
    def test_tls_sends_files_and_keeps_connections(self):
        certificate, key = (os.path.join(self.scratch, name) for name in ("certificate.pem", "key.pem"))
        io_programs.make_certificate(certificate, key)
        body = os.urandom(100_000)
        with open(os.path.join(self.scratch, "file"), "wb") as file:
            file.write(body)
        context = ssl.create_default_context(cafile=certificate)
        for environment in _ON_BOTH:
            command = [_program("io/tls_server"), certificate, key, self.scratch]
            with processes.Server(command, environment) as server:
                connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=context)
                for headers in ({}, {"Connection": "close"}):
                    connection.request("GET", "/file", headers=headers)
                    self.assertEqual(connection.getresponse().read(), body)
                connection.close()


class WorkTest(ProgramTest):
    def test_copy_copies_a_file_and_a_tree(self):
        tree = os.path.join(self.scratch, "tree")
        os.makedirs(os.path.join(tree, "a", "b"))
        names = ["1", "a/2", "a/b/3"]
        for name in names:
            with open(os.path.join(tree, name), "wb") as file:
                file.write(os.urandom(5000))
        for environment in _ON_BOTH:
            copies = os.path.join(self.scratch, environment["WEFT_IO"])
            for from_path, to_path in ((tree, copies), (os.path.join(tree, "1"), os.path.join(copies, "again"))):
                used = processes.run_program([_program("io/copy"), from_path, to_path], environment)
                self.assertGreater(used["cpu_s"], 0)
            self.assertEqual(filecmp.cmpfiles(tree, copies, names, shallow=False), (names, [], []))
            self.assertTrue(filecmp.cmp(os.path.join(tree, "1"), os.path.join(copies, "again"), shallow=False))

    def test_a_copy_that_fails_is_no_result(self):
        with self.assertRaisesRegex(Failed, "copy ended with status 1: .*No such file"):
            processes.run_program([_program("io/copy"), os.path.join(self.scratch, "nothing"), self.scratch])

    def test_sleeps_sleep(self):
        for environment in _ON_BOTH:
            used = processes.run_program([_program("io/sleeps"), "1000"], environment)
            self.assertGreaterEqual(used["wall_s"], 1)
            self.assertGreater(used["rss_bytes"], 0)


if __name__ == "__main__":
    ProgramTest.directory = sys.argv.pop(1)
    unittest.main()
