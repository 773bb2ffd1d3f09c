"""What ./benchmarks/compare_io measures. A measure has

    name, title     as it is asked for, and as the page calls it
    unit, units     what an operation of a server is, and several
    sizes, size     the sizes it is measured at, and what they are; 0 where there is only one
    contenders      the sources of those that are measured
    base            the source that all are held against
    least           ours does so many times as much in a second as the base, at least; None: nobody has said
    counters        of a program that ends by itself: what counts
    at_most         {counter: ours uses no more}
    needs           the peers' programs that it cannot do without
    prepare()       makes the files that it needs
    run(...)        one sample: {counter: value}

A server's sample has `per_second`, `cpu_us` of the server for an operation, and how busy the two were: 1 is a whole
processor. That of a program which ends by itself has `wall_s`, `cpu_s` and `rss_bytes`.
"""
import filecmp
import json
import os
import re
import shutil

from . import processes
from .io_programs import OURS, make_certificate
from .programs import Failed
from .samples import WrongAnswer

_WARM_UP = 0.3  # of the time that is measured


def _server_sample(operations, seconds, server_cpu, client_cpu, client_seconds=None):
    return {"per_second": operations / seconds, "cpu_us": server_cpu / operations * 1e6,
            "server_busy": server_cpu / seconds, "client_busy": client_cpu / (client_seconds or seconds)}


class _Measure:
    sizes = (0,)
    size = ""
    least = None
    counters = ("wall_s", "cpu_s")
    at_most = {}
    needs = ()

    @property
    def units(self):
        return self.unit + "s"

    def prepare(self, programs):
        pass


class Echo(_Measure):
    name = "Echo"
    title = "Echo of 64 bytes"
    unit = "request"
    sizes = (1, 100, 1_000, 9_000)
    size = "connections"
    contenders = ("c",) + OURS + ("go", "tokio", "asio")
    base = "c"
    least = 0.98

    def run(self, programs, source, size, seconds):
        with programs.echo_server(source) as server:
            said, _, _ = processes.run_client(
                [programs.ours("benchmarks/io/load"), str(server.port), str(size), str(int(_WARM_UP * seconds * 1000)),
                 str(int(seconds * 1000)), str(server.pid)])
        found = json.loads(said)
        sample = _server_sample(found["operations"], found["seconds"], found["server_cpu_seconds"],
                                found["client_cpu_seconds"])
        return {**sample, "unserved": found["unserved"]}


class _ByWrk(_Measure):
    needs = ("wrk",)

    def _load(self, server, url, connections, seconds, flags=()):
        """(operations, sample, all that wrk says)."""
        command = ["/usr/bin/wrk", "--threads", "1", "--connections", str(connections), "--duration",
                   "%ds" % max(round(seconds), 1), *flags, url]
        before = server.cpu_seconds()
        said, client_cpu, took = processes.run_client(command)
        used = server.cpu_seconds() - before
        if re.search("Non-2xx|Socket errors", said):
            raise WrongAnswer("%s: %s" % (self.name, said.strip().splitlines()[-3].strip()))
        done = re.search(r"(\d+) requests in ([\d.]+)s", said)
        return _server_sample(int(done[1]), float(done[2]), used, client_cpu, took)


class Http(_ByWrk):
    name = "Http"
    title = "HTTP hello"
    unit = "request"
    sizes = (100,)
    size = "connections"
    contenders = ("go",) + OURS
    base = "go"
    least = 1.5

    def run(self, programs, source, size, seconds):
        with programs.server(source, "benchmarks/io/http_server", "http") as server:
            url = "http://127.0.0.1:%d/" % server.port
            self._load(server, url, size, _WARM_UP * seconds)
            return self._load(server, url, size, seconds)


class _Redis(_Measure):
    unit = "command"
    sizes = (1, 16)
    size = "commands in a pipeline"
    contenders = ("redis",) + OURS
    base = "redis"
    needs = ("redis",)
    _CONNECTIONS = 50
    _WARM_UP_OPERATIONS = 20_000  # for each command of a pipeline

    def run(self, programs, source, size, seconds):
        with programs.redis_server(source) as server:
            # GET finds what was set here. The load is a number of commands: as many as take about that time.
            warm = self._load(server, "set", size, self._WARM_UP_OPERATIONS * size)
            return self._load(server, self._command, size, max(int(warm["per_second"] * seconds), 1_000))

    def _load(self, server, command, pipeline, operations):
        before = server.cpu_seconds()
        said, client_cpu, took = processes.run_client(
            ["/usr/bin/redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", command, "-n",
             str(operations), "-c", str(self._CONNECTIONS), "-P", str(pipeline), "--csv"])
        used = server.cpu_seconds() - before
        found = re.search(r'^"%s","([\d.]+)"' % command, said, re.MULTILINE | re.IGNORECASE)
        if not found:
            raise Failed("redis-benchmark says nothing of %s" % command)
        return _server_sample(operations, operations / float(found[1]), used, client_cpu, took)


class RedisSet(_Redis):
    name = "RedisSet"
    title = "Redis subset, SET"
    _command = "set"


class RedisGet(_Redis):
    name = "RedisGet"
    title = "Redis subset, GET"
    _command = "get"


class _Copy(_Measure):
    contenders = ("cp",) + OURS
    base = "cp"

    def prepare(self, programs):
        self._make(self._paths(programs)[0])
        self.run(programs, "cp", 0, 0)  # the first copy of all takes longer: nobody's

    def run(self, programs, source, size, seconds):
        from_path, to_path = self._paths(programs)
        sample = processes.run_program(programs.copy(source, from_path, to_path), programs.environment(source))
        if not self._same(from_path, to_path):
            raise WrongAnswer("%s: the copy of %s is another one" % (self.name, source))
        self._remove(to_path)
        return sample

    def _paths(self, programs):
        return tuple(os.path.join(programs.scratch, self.name + part) for part in (".from", ".to"))


class CopyFile(_Copy):
    name = "CopyFile"
    title = "Copy of a file of 256 MiB"
    _MIB = 256

    _remove = staticmethod(os.remove)

    @classmethod
    def _make(cls, path):
        with open(path, "wb") as file:
            for _ in range(cls._MIB):
                file.write(os.urandom(1 << 20))

    @staticmethod
    def _same(from_path, to_path):
        return filecmp.cmp(from_path, to_path, shallow=False)


class CopyTree(_Copy):
    name = "CopyTree"
    title = "Copy of 2,000 files of 4 KiB in 40 directories"
    _DIRECTORIES, _FILES = 40, 50
    _remove = staticmethod(shutil.rmtree)

    @classmethod
    def _make(cls, path):
        for i in range(cls._DIRECTORIES):
            directory = os.path.join(path, str(i))
            os.makedirs(directory)
            for j in range(cls._FILES):
                with open(os.path.join(directory, "%d.bin" % j), "wb") as file:
                    file.write(os.urandom(4096))

    @classmethod
    def _same(cls, from_path, to_path):
        names = [os.path.join(str(i), "%d.bin" % j) for i in range(cls._DIRECTORIES) for j in range(cls._FILES)]
        _, different, missing = filecmp.cmpfiles(from_path, to_path, names, shallow=False)
        return not different and not missing


class Sleeps(_Measure):
    name = "Sleeps"
    title = "A million sleeps of 1 to 1,000 ms at once"
    contenders = OURS + ("go", "tokio")
    base = "tokio"
    counters = ("wall_s", "cpu_s", "rss_bytes")
    at_most = {"wall_s": 1.2, "cpu_s": 0.5, "rss_bytes": 300e6}
    _COUNT = 1_000_000

    def run(self, programs, source, size, seconds):
        return processes.run_program(programs.sleeps(source, self._COUNT), programs.environment(source))


class _Tls(_ByWrk):
    needs = ("wrk", "openssl")
    contenders = ("nginx",) + OURS
    base = "nginx"
    _CONNECTIONS = 20
    _BYTES = {"small": 64, "large": 1 << 20}

    def prepare(self, programs):
        site = os.path.join(programs.scratch, "site")
        os.makedirs(site, exist_ok=True)
        for name, size in self._BYTES.items():
            with open(os.path.join(site, name), "wb") as file:
                file.write(b"x" * size)
        make_certificate(*programs.certificate())

    def run(self, programs, source, size, seconds):
        with programs.tls_server(source) as server:
            return self._fetch(server, "https://127.0.0.1:%d/" % server.port, seconds)


class TlsHandshake(_Tls):
    name = "TlsHandshake"
    title = "TLS 1.3 handshakes, P-256, not resumed, with a request of 64 bytes each"
    unit = "handshake"

    def _fetch(self, server, url, seconds):
        return self._load(server, url + "small", self._CONNECTIONS, seconds, ["--header", "Connection: close"])


class TlsBulk(_Tls):
    name = "TlsBulk"
    title = "Files of 1 MiB over TLS 1.3"
    unit = units = "MiB"

    def _fetch(self, server, url, seconds):
        return self._load(server, url + "large", self._CONNECTIONS, seconds)


MEASURES = [Echo(), Http(), RedisSet(), RedisGet(), CopyFile(), CopyTree(), Sleeps(), TlsHandshake(), TlsBulk()]
