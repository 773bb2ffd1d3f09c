"""Goal: the include graph keeps to the layers, and every header has its place.

Method: the checks of include_graph.py over the source tree, each one preceded by
a small made-up tree that breaks its rule, so that a check which has gone blind fails.
"""
import os
import tempfile
import unittest

from tests.style.include_graph import Tree

# A link in the runfiles, whose end lies in the source tree: data dependencies
# would show only the files that some rule names, and the point is the others.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))

_LAYERS = 'LAYERS = [["base"], ["runtime"], ["sync"], ["scope"], ["driver", "net"], ["testing"]]\n'


def _library(*public_hdrs, srcs=()):
    return "weft_library(name = \"x\", public_hdrs = %r, srcs = %r)\n" % (list(public_hdrs), list(srcs))


class IncludeGraphTest(unittest.TestCase):
    maxDiff = None

    def _tree(self, files):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name, text in {"bazel/layers.bzl": _LAYERS, **files}.items():
            path = os.path.join(directory.name, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return Tree(directory.name)

    def _finds(self, check, files, *parts):
        found = list(getattr(self._tree(files), check)())
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def _nothing(self, found):
        self.assertEqual(list(found), [])

    def test_an_include_of_a_higher_layer_is_found(self):
        self._finds("layer_violations", {"lib/base/a.cc": '#include "lib/driver/b.h"\n'}, "lib/base/a.cc", "above")

    def test_an_include_of_a_higher_layer_through_a_public_header_is_found(self):
        self._finds("layer_violations", {
            "lib/scope/BUILD.bazel": _library("scope.h"),
            "lib/base/BUILD.bazel": _library("base.h"),
            "include/weft/scope.h": "",
            "include/weft/base.h": '#  include "weft/scope.h"\n',
        }, "include/weft/base.h", "weft/scope.h")

    def test_an_include_of_a_backend_is_found(self):
        self._finds("layer_violations", {"lib/net/a.cc": '#include "lib/driver/uring_driver.h"\n'}, "backend")

    def test_an_include_of_what_is_the_runtimes_own_is_found(self):
        self._finds("layer_violations", {
            "lib/runtime/a.cc": '#include "lib/runtime/carrier.h"\n',
            "lib/testing/a.cc": '#include "lib/runtime/host.h"\n',
            "lib/scope/a.cc": '#include "lib/runtime/calling_carrier.h"\n#include "lib/runtime/carrier.h"\n',
        }, "lib/scope/a.cc", "carrier.h is its own")

    def test_a_private_include_in_a_public_header_is_found(self):
        self._finds("layer_violations", {
            "lib/driver/BUILD.bazel": _library("a.h"),
            "include/weft/a.h": '#include "lib/base/a.h"\n',
        }, "private")

    def test_an_include_of_the_same_or_a_lower_layer_is_allowed(self):
        self._nothing(self._tree({
            "lib/net/a.cc": '#include "lib/driver/b.h"\n#include "lib/base/a.h"\n#include <vector>\n',
        }).layer_violations())

    def test_the_include_graph_keeps_to_the_layers(self):
        self._nothing(Tree(_ROOT).layer_violations())

    def test_a_component_without_a_layer_is_found(self):
        self._finds("unknown_components", {"lib/surprise/a.cc": ""}, "surprise")

    def test_every_component_has_a_layer(self):
        self._nothing(Tree(_ROOT).unknown_components())

    def test_what_is_linked_without_a_reference_is_found(self):
        library = "weft_library(\n    name = \"driver\",\n    alwayslink = True,\n)\n"
        self._finds("registrations", {"lib/driver/BUILD.bazel": library}, "lib/driver/BUILD.bazel", "alwayslink")

    def test_nothing_is_linked_without_a_reference(self):
        self._nothing(Tree(_ROOT).registrations())

    def test_a_public_header_without_a_component_is_found(self):
        self._finds("ownership_violations", {"include/weft/a.h": ""}, "a.h")

    def test_a_public_header_of_two_components_is_found(self):
        self._finds("ownership_violations", {
            "include/weft/a.h": "",
            "lib/base/BUILD.bazel": _library("a.h"),
            "lib/sync/BUILD.bazel": _library("a.h"),
        }, "base and of sync")

    def test_every_public_header_belongs_to_one_component(self):
        self._nothing(Tree(_ROOT).ownership_violations())

    def test_a_source_that_nothing_builds_is_found(self):
        self._finds("orphans", {
            "lib/base/BUILD.bazel": _library(srcs=["a.cc"]).replace("'", '"'),
            "lib/base/a.cc": "",
            "lib/base/b.cc": "",
        }, "lib/base/b.cc")

    def test_every_source_is_built(self):
        self._nothing(Tree(_ROOT).orphans())

    def test_a_public_header_that_weft_h_lacks_is_found(self):
        self._finds("umbrella_violations", {
            "include/weft/weft.h": '#include "weft/a.h"\n',
            "include/weft/a.h": "",
            "include/weft/sync/b.h": "",
            "include/weft/internal/c.h": "",
        }, "weft/sync/b.h")

    def test_weft_h_includes_every_public_header(self):
        self._nothing(Tree(_ROOT).umbrella_violations())

    def test_a_source_that_does_not_begin_with_its_header_is_found(self):
        library = _library("x.h", srcs=["x.cc"])
        late = "#include <vector>\n#include \"weft/x.h\"\n"
        self._finds("late_headers", {"lib/base/BUILD.bazel": library, "lib/base/x.cc": late},
                    "lib/base/x.cc", "weft/x.h")
        own = {"lib/base/BUILD.bazel": library, "lib/base/x.cc": "#include \"weft/x.h\"\n"}
        self.assertEqual(list(self._tree(own).late_headers()), [])

    def test_every_source_begins_with_its_header(self):
        self.assertEqual(list(Tree(_ROOT).late_headers()), [])

    def test_a_header_that_any_compiler_may_begin_to_read_is_found(self):
        self._finds("unguarded_headers", {
            "include/weft/a.h": '#include "weft/internal/compiler.h"\n\n#include <vector>\n',
            "include/weft/internal/compiler.h": "",
            "include/weft/c.h": '#include <vector>\n\n#include "weft/internal/compiler.h"\n',
        }, "include/weft/c.h")

    def test_every_header_asks_for_the_compiler_first(self):
        self._nothing(Tree(_ROOT).unguarded_headers())

    def test_a_header_that_brings_sockets_to_those_who_use_none_is_found(self):
        self._finds("socket_violations", {
            "include/weft/event.h": '#include "weft/internal/wait.h"\n',
            "include/weft/internal/socket.h": '#include <sys/socket.h>\n',
            "include/weft/internal/wait.h": '#include <vector>\n',
            "include/weft/net/tcp.h": '#include "weft/internal/socket.h"\n',
            "include/weft/time.h": '#include "weft/internal/socket.h"\n',
        }, "weft/time.h", "weft/internal/socket.h")

    def test_only_what_is_about_sockets_brings_them(self):
        self._nothing(Tree(_ROOT).socket_violations())


if __name__ == "__main__":
    unittest.main()
