"""Reads the #include lines of lib/ and include/ and the BUILD files beside them.

The order of the layers is that of bazel/layers.bzl, which also gives every
package its visibility. This check sees what visibility cannot: a header that is
in no rule, an include that compiles because a target two layers up happens to
be on the path, a public header that includes a private one.
"""
import ast
import os
import re

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
_ANY_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*(\S+)", re.MULTILINE)
_SOURCE = (".h", ".cc")
# How the backends of lib/driver are named; only lib/driver itself may know them.
_BACKEND = re.compile(r"lib/driver/(uring|epoll)")
# What of lib/runtime code outside it may include; a simulation is a runtime of another kind.
_RUNTIME = re.compile(r"lib/runtime/(?!calling_carrier\.h)")
_SIMULATIONS = "lib/testing/"
_COMPILER = "weft/internal/compiler.h"
_SOCKETS = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(sys/socket|netinet/\w+)\.h>", re.MULTILINE)
# Public headers, and directories of them, that weft.h leaves out, because few sources use them. <stop_token> has 1,400
# lines.
_ON_REQUEST = (
    "weft/blocking.h",
    "weft/channel/",
    "weft/executor/",
    "weft/fs/",
    "weft/held_carrier.h",
    "weft/io/",
    "weft/net/",
    "weft/no_suspension.h",
    "weft/pin.h",
    "weft/process.h",
    "weft/signal.h",
    "weft/stop_token.h",
    "weft/sync/barrier.h",
    "weft/sync/condition_state.h",
    "weft/sync/condition_variable.h",
    "weft/sync/exchanger.h",
    "weft/sync/latch.h",
    "weft/sync/lazy.h",
    "weft/sync/lock_core.h",
    "weft/sync/lock_state.h",
    "weft/sync/once.h",
    "weft/sync/phaser.h",
    "weft/sync/rate_limiter.h",
    "weft/ticker.h",
    "weft/sync/recursive_mutex.h",
    "weft/sync/shared_mutex.h",
    "weft/thread_builder.h",
    "weft/tls/",
    "weft/virtual_thread_local.h",
)
# With weft/net/, the headers that are about sockets, and the one that has everything.
_OF_SOCKETS = ("weft/internal/socket.h", "weft/weft.h")


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _call_arguments(build_file, rule):
    """The literal keyword arguments of each call of `rule`: BUILD files parse as Python."""
    for node in ast.walk(ast.parse(_read(build_file))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == rule:
            arguments = {}
            for keyword in node.keywords:
                try:
                    arguments[keyword.arg] = ast.literal_eval(keyword.value)
                except ValueError:  # a glob or a select, which this check does not look into
                    continue
            yield arguments


class Tree:
    """The source tree below `root`, and what is wrong with it."""

    def __init__(self, root):
        self._root = root
        layers = {}
        for node in ast.parse(_read(self._path("bazel/layers.bzl"))).body:
            if isinstance(node, ast.Assign):
                layers[node.targets[0].id] = ast.literal_eval(node.value)
        self._layer = {name: rank for rank, names in enumerate(layers["LAYERS"]) for name in names}
        self._owners = {}  # public header, as it is included -> components that list it
        for build_file in self._files("lib", ("BUILD.bazel",)):
            for arguments in _call_arguments(self._path(build_file), "weft_library"):
                for header in arguments.get("public_hdrs", []):
                    self._owners.setdefault("weft/" + header, []).append(build_file.split("/")[1])

    def _path(self, name):
        return os.path.join(self._root, name)

    def _files(self, top, endings):
        found = []
        for directory, directories, names in os.walk(self._path(top)):
            if top == "tests" and directory == self._path(top):
                directories.remove("consumer") if "consumer" in directories else None
            found += [os.path.relpath(os.path.join(directory, name), self._root)
                      for name in names if name.endswith(endings)]
        return sorted(found)

    def _includes(self, path):
        return _INCLUDE.findall(_read(self._path(path)))

    def _public_headers(self):
        return [path[len("include/"):] for path in self._files("include", (".h",))]

    def layer_violations(self):
        """Includes that go up, into a backend, or into the runtime past what it offers."""
        for path in self._files("lib", _SOURCE) + self._files("include", _SOURCE):
            public = path.startswith("include/")
            if public:
                components = self._owners.get(path[len("include/"):], [])
            else:
                components = [path.split("/")[1]]
            for included in self._includes(path):
                if public and included.startswith("lib/"):
                    yield "%s: a public header includes the private %s" % (path, included)
                if _BACKEND.match(included) and not path.startswith("lib/driver/"):
                    yield "%s: only lib/driver knows its backends, and %s is one" % (path, included)
                if _RUNTIME.match(included) and not path.startswith(("lib/runtime/", _SIMULATIONS)):
                    yield "%s: lib/runtime offers calling_carrier.h, and %s is its own" % (path, included)
                if included.startswith("lib/"):
                    targets = [included.split("/")[1]]
                else:
                    targets = self._owners.get(included, [])
                for component in components:
                    for target in targets:
                        reason = self._refusal(component, target)
                        if reason:
                            yield "%s: includes %s, but %s" % (path, included, reason)

    def _refusal(self, component, target):
        for name in (component, target):
            if name not in self._layer:
                return "lib/%s has no place in bazel/layers.bzl" % name
        if self._layer[target] > self._layer[component]:
            return "lib/%s lies above lib/%s" % (target, component)
        return None

    def unknown_components(self):
        """Directories of lib/ without a layer."""
        for name in sorted(os.listdir(self._path("lib"))):
            if os.path.isdir(self._path("lib/" + name)) and name not in self._layer:
                yield "lib/%s has no place in bazel/layers.bzl" % name

    def registrations(self):
        """What is linked although nothing refers to it: other build systems would drop it."""
        for build_file in self._files("lib", ("BUILD.bazel",)):
            if "alwayslink" in _read(self._path(build_file)):
                yield "%s: alwayslink; what Weft needs is referred to" % build_file

    def ownership_violations(self):
        """Public headers that no component lists, and those that two do."""
        for header in self._public_headers():
            owners = self._owners.get(header, [])
            if header == "weft/weft.h":
                continue
            if not owners:
                yield "include/%s is in no weft_library's public_hdrs" % header
            if len(owners) > 1:
                yield "include/%s is in the public_hdrs of %s" % (header, " and of ".join(owners))

    def orphans(self):
        """Sources that their package's BUILD file does not name: nothing builds them."""
        for top in ("lib", "tests", "benchmarks", "examples"):
            for path in self._files(top, _SOURCE):
                package = os.path.dirname(path)
                while package and not os.path.exists(self._path(package + "/BUILD.bazel")):
                    package = os.path.dirname(package)
                if not package:
                    yield "%s is in no package" % path
                elif '"%s"' % os.path.relpath(path, package) not in _read(self._path(package + "/BUILD.bazel")):
                    yield "%s is not named in %s/BUILD.bazel" % (path, package)

    def umbrella_violations(self):
        """Public headers that weft.h lacks. internal/, ext/ and testing/ are not for every user."""
        umbrella = self._path("include/weft/weft.h")
        if not os.path.exists(umbrella):
            yield "include/weft/weft.h is missing"
            return
        included = self._includes("include/weft/weft.h")
        for header in self._public_headers():
            if header.split("/")[1] in ("internal", "ext", "testing", "weft.h") or header.startswith(_ON_REQUEST):
                continue
            if header not in included:
                yield "include/weft/weft.h does not include %s" % header

    def late_headers(self):
        """Sources that include something before their own header, which then is not seen to stand alone."""
        for build_file in self._files("lib", ("BUILD.bazel",)):
            package = os.path.dirname(build_file)
            for arguments in _call_arguments(self._path(build_file), "weft_library"):
                private = arguments.get("hdrs", []) + arguments.get("srcs", [])
                own = {os.path.basename(header): "weft/" + header for header in arguments.get("public_hdrs", [])}
                own.update({header: package + "/" + header for header in private if header.endswith(".h")})
                for source in arguments.get("srcs", []):
                    header = own.get(source[:-len(".cc")] + ".h") if source.endswith(".cc") else None
                    first = _ANY_INCLUDE.search(_read(self._path(package + "/" + source)))
                    if header and (first is None or first[1] != '"%s"' % header):
                        yield "%s/%s does not include %s before anything else" % (package, source, header)

    def unguarded_headers(self):
        """Headers that include anything before the compiler check, over which one that is refused would stumble."""
        for header in self._public_headers():
            first = _ANY_INCLUDE.search(_read(self._path("include/" + header)))
            if header != _COMPILER and (first is None or first[1] != '"%s"' % _COMPILER):
                yield "include/%s does not include %s before anything else" % (header, _COMPILER)

    def socket_violations(self):
        """Public headers that bring the declarations of sockets to those who use none."""
        for header in self._public_headers():
            if header.startswith("weft/net/") or header in _OF_SOCKETS:
                continue
            reached, ahead = set(), [header]
            while ahead:
                at = ahead.pop()
                if at not in reached and os.path.exists(self._path("include/" + at)):
                    reached.add(at)
                    ahead += self._includes("include/" + at)
            for at in sorted(reached):
                if _SOCKETS.search(_read(self._path("include/" + at))):
                    yield "include/%s reaches <sys/socket.h> through include/%s" % (header, at)
