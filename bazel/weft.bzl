"""The rules that Weft's own packages are written with."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")
load("//bazel:layers.bzl", "users_of")

# Inside this repository a public header is found where it lies, so that the
# compiler's messages name the file itself. Users get the same headers through
# //:weft, which carries the include path along.
_ROOT = Label("//bazel:weft.bzl").workspace_root
# -fno-plt: see WEFT_RARE in weft/internal/compiler.h.
_COPTS = ["-I" + (_ROOT + "/" if _ROOT else "") + "include", "-fno-plt"]

# Compiled without a sandbox (.bazelrc), and so without this check.
_UNLAYERED = ["-layering_check"]

# What users may compile with: their warnings find nothing in what is Weft's. Not in another repository, whose compiler
# may know more.
_STRICT = [] if _ROOT else ["-W" + name for name in [
    "cast-qual",
    "conversion",
    "extra-semi",
    "non-virtual-dtor",
    "old-style-cast",
    "overloaded-virtual",
    "pedantic",
    "shadow",
    "undef",
]]

# In another repository, everything is compiled as its own configuration says.
_PRECOMPILED = [] if _ROOT else select({
    "//bazel:precompiles_all": ["-include-pch", "$(BINDIR)/bazel/precompiled.pch"],
    "//conditions:default": [],
})
_PRECOMPILED_DEPS = [] if _ROOT else select({
    "//bazel:precompiles_all": ["//bazel:precompiled_headers"],
    "//conditions:default": [],
})

def _precompiled_test(copts):
    """The same for a test or what tests share: its flags, and what it depends on. Other flags, other headers."""
    if _ROOT or copts:
        return [], []
    flags = ["-include-pch", "$(BINDIR)/bazel/precompiled_test.pch"]
    deps = ["//bazel:precompiled_test_headers"]
    return select({
        "//bazel:precompiles_all": flags,
        "//bazel:precompiles_tests": flags,
        "//conditions:default": [],
    }), select({
        "//bazel:precompiles_all": deps,
        "//bazel:precompiles_tests": deps,
        "//conditions:default": [],
    })

# Optimising what is instrumented takes most of the time of a test that is run once, and lines of the test itself, which
# a failed expectation names anyway, a sixth of the rest.
_TEST_COPTS = [] if _ROOT else select({
    "//bazel:quick_tests": ["-O0", "-g0"],
    "//conditions:default": [],
})

def _lone_headers_impl(ctx):
    sources = []
    for header in ctx.files.hdrs:
        path = header.owner.package + "/" + header.owner.name
        if path.startswith("include/"):
            path = path[len("include/"):]
        source = ctx.actions.declare_file("%s/%s.cc" % (ctx.label.name, path))

        # Twice, so that a missing include guard shows as well.
        ctx.actions.write(source, "#include \"{0}\"\n#include \"{0}\"\n".format(path))
        sources.append(source)
    return [DefaultInfo(files = depset(sources))]

_lone_headers = rule(
    implementation = _lone_headers_impl,
    attrs = {"hdrs": attr.label_list(allow_files = True)},
)

def _visibility():
    component = native.package_name().split("/")[1:]

    # What lies deeper than lib/COMPONENT belongs to that component alone.
    users = users_of(component[0]) if len(component) == 1 else [component[0]]
    return ["//lib/%s:__subpackages__" % user for user in users] + [
        "//:__pkg__",
        "//benchmarks:__subpackages__",
        "//tests:__subpackages__",
    ]

def _has_source(header, headers, srcs):
    """Is there a source of the header's name? Of a public header and a private one it is the private one's."""
    stem = header.split("/")[-1][:-2]
    private = stem + ".h" in headers and header != stem + ".h"
    return stem + ".cc" in srcs and not private

def weft_library(name, public_hdrs = [], hdrs = [], srcs = [], deps = [], copts = [], **kwargs):
    """A component of Weft, or a part of one.

    Visible to the layers that may use it (bazel/layers.bzl). A header that has
    a source of its name is what that source includes first (include_graph.py);
    every other one is compiled alone, by :NAME_lone_headers, which //... includes.

    Args:
      name: the target's name.
      public_hdrs: headers that users see, as paths below include/weft.
      hdrs: headers of this package, included as "lib/PACKAGE/FILE.h".
      srcs: sources, and the headers that no other target may include.
      deps: what the headers and sources include, and nothing else.
      copts: further compiler flags.
      **kwargs: as in cc_library.
    """
    headers = ["//include/weft:" + header for header in public_hdrs] + hdrs
    private_headers = [src for src in srcs if src.endswith(".h")]
    cc_library(
        name = name,
        srcs = srcs,
        hdrs = headers,
        copts = _COPTS + _STRICT + _PRECOMPILED + copts,
        visibility = kwargs.pop("visibility", _visibility()),
        deps = deps + _PRECOMPILED_DEPS,
        **kwargs
    )

    lone = [header for header in headers + private_headers if not _has_source(header, headers + private_headers, srcs)]
    if not lone:
        return

    # A library of its own with the same headers, because layering_check looks
    # only at the headers of the library that is being compiled.
    _lone_headers(
        name = name + "_lone_headers_srcs",
        testonly = kwargs.get("testonly", False),
        hdrs = lone,
    )
    cc_library(
        name = name + "_lone_headers",
        testonly = kwargs.get("testonly", False),
        srcs = [name + "_lone_headers_srcs"] + private_headers,
        hdrs = headers,
        copts = _COPTS + _STRICT + copts,
        tags = kwargs.get("tags", []) + ["lone_headers"],
        deps = deps,
    )

# A test ends in seconds, but not on a machine that compiles something else meanwhile.
_TIMEOUT = "moderate"

def weft_test(name, srcs, deps = [], copts = [], size = "small", main = "//tests:test_main", **kwargs):
    """A GoogleTest program. Most have the main of Weft, which asserts the census after every test."""
    precompiled, precompiled_deps = _precompiled_test(copts)
    cc_test(
        name = name,
        size = size,
        timeout = kwargs.pop("timeout", _TIMEOUT),
        srcs = srcs,
        copts = _COPTS + (copts or _TEST_COPTS) + precompiled,
        features = _UNLAYERED,
        deps = deps + precompiled_deps + [
            main,
            "@com_google_googletest//:gtest",
        ],
        **kwargs
    )

# Explorations are long: optimised in every configuration but those that say otherwise themselves.
_MODEL_COPTS = ["-O2"]

def weft_model_library(name, **kwargs):
    """A part of what is linked under the memory-model checker: compiled, like all of it, with WEFT_MODEL.

    The sources of a component are named once more here, by their labels. A
    program cannot have both this library and the component's own.

    Args:
      name: the target's name.
      **kwargs: as in cc_library.
    """
    weft_test_library(
        name = name,
        copts = _MODEL_COPTS,
        defines = ["WEFT_MODEL='\"lib/testing/model/model_atomic.h\"'"],
        visibility = [
            "//lib/testing:__subpackages__",
            "//tests/model:__subpackages__",
        ],
        **kwargs
    )

def weft_model_test(name, deps = [], **kwargs):
    """A program of tests/model, which runs its subjects under the memory-model checker."""
    weft_test(
        name = name,
        size = "medium",
        copts = _MODEL_COPTS,
        main = "//tests/model:component",
        deps = deps + ["//lib/testing/model"],
        **kwargs
    )

def weft_fuzz_test(name, srcs, deps, whole = False):
    """A program of tests/fuzz, which is given the files of corpus/NAME; under --config=fuzz for tools/fuzz.

    Args:
      name: the target's name.
      srcs: its source.
      deps: what it includes.
      whole: as a test it is not given the beginnings of the files, because it takes long.
    """
    corpus = native.glob(["corpus/%s/*" % name])
    fuzzed = "//bazel:fuzz"
    cc_test(
        name = name,
        size = "small",
        timeout = _TIMEOUT,
        srcs = srcs,
        args = (["--whole"] if whole else []) + ["$(location %s)" % each for each in corpus],
        copts = _COPTS + _TEST_COPTS,
        data = corpus,
        features = _UNLAYERED,
        linkopts = select({
            fuzzed: ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + [":fuzz"] + select({
            fuzzed: [],
            "//conditions:default": [":replay"],
        }),
    )

def weft_test_library(name, copts = [], deps = [], visibility = ["//tests:__subpackages__"], **kwargs):
    """What several tests share."""
    precompiled, precompiled_deps = _precompiled_test(copts)
    cc_library(
        name = name,
        testonly = True,
        copts = _COPTS + (copts or _TEST_COPTS) + precompiled,
        features = _UNLAYERED,
        visibility = visibility,
        deps = deps + precompiled_deps,
        **kwargs
    )

def python_test(name, src, data = [], args = [], size = "small", **kwargs):
    """A test written in Python, run from the root of the runfiles.

    Bazel 4's py_test asks for a `python`, which Debian does not have.
    """
    native.sh_test(
        name = name,
        size = size,
        timeout = kwargs.pop("timeout", _TIMEOUT),
        srcs = ["//bazel:python_test.sh"],
        args = ["$(location %s)" % src] + args,
        data = [src] + data,
        **kwargs
    )

def weft_binary(name, copts = [], **kwargs):
    """A program that looks inside Weft, such as a benchmark; an example is a plain cc_binary."""
    cc_binary(name = name, copts = _COPTS + copts, **kwargs)
