"""The programs of ./benchmarks/compare_io, ours and the peers': where they are, how they are started."""
import os
import shutil
import subprocess

from . import processes
from .machine import first_line
from .programs import Peer, build_go, build_tokio, debian_version

OURS = ("uring", "epoll")
TITLES = {"uring": "Weft, io_uring", "epoll": "Weft, epoll", "c": "epoll in C", "cp": "cp"}

_OURS = ["//benchmarks/io:copy", "//benchmarks/io:echo_server", "//benchmarks/io:http_server", "//benchmarks/io:load",
         "//benchmarks/io:sleeps", "//benchmarks/io:tls_server", "//benchmarks/peers/c:echo", "//examples/redis:redis"]
_NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{
  worker_connections 1024;
}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 1000000000;
  ssl_certificate {directory}/certificate.pem;
  ssl_certificate_key {directory}/key.pem;
  ssl_protocols TLSv1.3;
  ssl_session_cache off;
  ssl_session_tickets off;
  server {{
    listen 127.0.0.1:{port} ssl;
    root {directory}/site;
  }}
}}
"""


def make_certificate(certificate, key):
    """Of localhost, for two days, signed by itself; with a key of P-256."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                    "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-days", "2"], check=True, capture_output=True)


def _peers(bazel, root):
    def installed(program):
        return lambda: program

    def build_asio():
        directory = bazel.build(["--config=opt"], ["//benchmarks/peers/asio:echo"])
        return os.path.join(directory, "benchmarks", "peers", "asio", "echo")

    return [
        Peer("go", "Go", {"golang-go": "/usr/bin/go"}, lambda: build_go(root, "./servers", "servers"),
             lambda: first_line("/usr/bin/go", "version").removeprefix("go version ")),
        Peer("tokio", "Tokio", {"cargo": "/usr/bin/cargo", "rustc": "/usr/bin/rustc",
                                "librust-tokio-dev": "/usr/share/doc/librust-tokio-dev",
                                "librust-async-channel-dev": "/usr/share/doc/librust-async-channel-dev"},
             lambda: build_tokio(root, "servers", ["--features", "io"]),
             lambda: "%s, %s" % (debian_version("librust-tokio-dev"), first_line("/usr/bin/rustc", "--version"))),
        Peer("asio", "Boost.Asio", {"libboost1.81-dev": "/usr/include/boost/url.hpp"}, build_asio,
             lambda: debian_version("libboost1.81-dev")),
        Peer("redis", "Redis", {"redis-server": "/usr/bin/redis-server", "redis-tools": "/usr/bin/redis-benchmark"},
             installed("/usr/bin/redis-server"), lambda: debian_version("redis-server")),
        Peer("nginx", "nginx", {"nginx": "/usr/sbin/nginx"}, installed("/usr/sbin/nginx"),
             lambda: debian_version("nginx")),
        Peer("openssl", "OpenSSL", {"openssl": "/usr/bin/openssl"}, installed("/usr/bin/openssl"),
             lambda: debian_version("openssl")),
        Peer("wrk", "wrk", {"wrk": "/usr/bin/wrk"}, installed("/usr/bin/wrk"), lambda: debian_version("wrk")),
    ]


class Programs:
    """All of them, built. `scratch` is a directory for what they read and write."""

    def __init__(self, bazel, root, scratch, install):
        self.scratch = scratch
        self._directory = bazel.build(["--config=opt"], _OURS)
        self.peers = _peers(bazel, root)
        for peer in self.peers:
            peer.prepare(root, install)
        self._by_source = {peer.source: peer for peer in self.peers}

    def title(self, source):
        return TITLES[source] if source in TITLES else self._by_source[source].title

    def are_there(self, *sources):
        return not any(self._by_source[source].left_out for source in sources if source in self._by_source)

    def ours(self, label):
        """The path of //label."""
        return os.path.join(self._directory, *label.split("/"))

    def environment(self, source):
        return {"WEFT_IO": source} if source in OURS else {}

    def server(self, source, label, what):
        """A server: ours, which is //label, or the peer's, which does `what`."""
        if source in OURS:
            return processes.Server([self.ours(label)], self.environment(source))
        peer = self._by_source[source]
        return processes.Server([peer.program, what])

    def echo_server(self, source):
        if source == "c":
            return processes.Server([self.ours("benchmarks/peers/c/echo")])
        return self.server(source, "benchmarks/io/echo_server", "echo")

    def redis_server(self, source):
        if source in OURS:
            command = [self.ours("examples/redis/redis"), "--listen=127.0.0.1:0"]
            return processes.Server(command, self.environment(source))
        port = processes.free_port()
        return processes.Server(["/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                 "--appendonly", "no", "--dir", self.scratch], port=port)

    def certificate(self):
        """The paths of the certificate and its key, for make_certificate()."""
        return tuple(os.path.join(self.scratch, name) for name in ("certificate.pem", "key.pem"))

    def tls_server(self, source):
        certificate, key = self.certificate()
        site = os.path.join(self.scratch, "site")
        if source in OURS:
            command = [self.ours("benchmarks/io/tls_server"), certificate, key, site]
            return processes.Server(command, self.environment(source))
        port = processes.free_port()
        configuration = os.path.join(self.scratch, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(_NGINX.format(directory=self.scratch, port=port))
        return processes.Server(["/usr/sbin/nginx", "-c", configuration, "-p", self.scratch], port=port)

    def sleeps(self, source, count):
        if source in OURS:
            return [self.ours("benchmarks/io/sleeps"), str(count)]
        return [self._by_source[source].program, "sleeps", str(count)]

    def copy(self, source, from_path, to_path):
        if source in OURS:
            return [self.ours("benchmarks/io/copy"), from_path, to_path]
        return [shutil.which("cp"), "-r", from_path, to_path]
