"""Compiles and links the tests outside Bazel, with defects in them, in a directory of their own.

Bazel is asked once how it compiles and links (`aquery`), and for the objects of the sources as they are. A source that
includes a file with defects in it is compiled by the same command, to which such a file is shown through an overlay of
clang's: the tree is never written to. What has been compiled once with the same text is not compiled again.
"""
import hashlib
import json
import os
import re
import subprocess
import sys

# Those of layering_check, which would refuse the header with the switch, and those that make warnings errors.
_LEFT_OUT = ("-fmodule-name=", "-fmodule-map-file=", "-fmodules-strict-decluse", "-Wprivate-header", "-Werror")

_SWITCH_HEADER = """\
// Which of the defects is on, and which have been reached: see tools/mutation.
#ifndef WEFT_MUTANT_H_
#define WEFT_MUTANT_H_
extern "C" {
extern unsigned weft_mutant_number;
extern unsigned char* weft_mutant_reached;
}
namespace weft_mutant {
inline bool Hit(unsigned number) {
  if (weft_mutant_reached != nullptr) weft_mutant_reached[number] = 1;
  return weft_mutant_number == number;
}
// A constant is never defective.
inline constexpr bool On(unsigned number) { return !__builtin_is_constant_evaluated() && Hit(number); }
}  // namespace weft_mutant
#endif
"""
_SWITCH_SOURCE = """\
#include "mutant.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned weft_mutant_number = 0;
unsigned char* weft_mutant_reached = nullptr;

// Before any object is made.
__attribute__((constructor(101))) static void ReadEnvironment() {
  if (const char* number = getenv("WEFT_MUTANT")) weft_mutant_number = static_cast<unsigned>(atol(number));
  if (const char* path = getenv("WEFT_MUTANT_REACHED")) {
    const int fd = open(path, O_RDWR);
    void* const bytes = mmap(nullptr, 1 << 24, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (bytes != MAP_FAILED) weft_mutant_reached = static_cast<unsigned char*>(bytes);
  }
}
"""
REACHED_BYTES = 1 << 24


class CompileError(Exception):
    """A source does not compile; `places` are the (path, line) that the compiler names."""

    def __init__(self, source, text, places):
        super().__init__("%s does not compile:\n%s" % (source, text[-4000:]))
        self.places = places


class Object:
    """A source, compiled in one way."""

    def __init__(self, path, source, arguments):
        self.path = path            # below the execution root
        self.source = source
        self.arguments = arguments
        self.headers = frozenset()  # of the tree, the source itself among them


class Test:
    """A test program."""

    def __init__(self, name, arguments, objects):
        self.name = name            # "tests/scope/scope_test"
        self.arguments = arguments  # of the linker
        self.objects = objects


class Build:
    """The tests of a tree, as Bazel builds them, and with defects."""

    def __init__(self, root, scratch, execution_root):
        self.root = os.path.realpath(root)
        self.scratch = scratch
        self.execution_root = execution_root  # where commands are run
        self.objects, self.tests = {}, {}     # by path, by name
        self._files = {}                      # path of the tree -> text with defects
        self._digests = {}                    # path of the tree -> digest
        self._aliases = {}                    # path of the tree -> the names under which it is included
        self._overlay = None
        for directory in ("objects", "tests"):
            os.makedirs(os.path.join(scratch, directory), exist_ok=True)
        self._write("mutant.h", _SWITCH_HEADER)
        self._write("mutant.cc", _SWITCH_SOURCE)
        self._switch = None
        self.show({})

    def _write(self, name, text):
        path = os.path.join(self.scratch, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def add_object(self, arguments, dependencies):
        """A source, by the command that compiles it and the files that it includes, both as from the execution root."""
        source = arguments[arguments.index("-c") + 1]
        path = arguments[arguments.index("-o") + 1]
        found = Object(path, source, [argument for argument in arguments if not argument.startswith(_LEFT_OUT)])
        headers = set()
        for name in dependencies:
            real = os.path.realpath(os.path.join(self.execution_root, name))
            if real.startswith(self.root + "/"):
                inside = os.path.relpath(real, self.root)
                headers.add(inside)
                self._aliases.setdefault(inside, {inside}).add(name)
        found.headers = frozenset(headers)
        self.objects[path] = found
        return found

    def add_test(self, name, arguments):
        """A test program, by the command that links it."""
        self.tests[name] = Test(name, arguments, [self.objects[argument] for argument in arguments
                                                  if argument in self.objects])

    def digest(self, tests):
        """Of the commands and sources of these tests, as they are in the tree."""
        digest = hashlib.sha256()
        objects = {found.path: found for test in tests for found in test.objects}
        for path in sorted(objects):
            digest.update(("\0%s" % objects[path].arguments).encode())
        for path in sorted({path for found in objects.values() for path in found.headers}):
            if path not in self._digests:
                with open(os.path.join(self.root, path), "rb") as file:
                    self._digests[path] = hashlib.sha256(file.read()).hexdigest()
            digest.update(("\0%s\0%s" % (path, self._digests[path])).encode())
        return digest.hexdigest()[:16]

    # ---- With defects.

    def show(self, files):
        """From now on these files, by their paths in the tree, have these texts."""
        self._files = dict(files)
        roots = []
        for path, text in sorted(self._files.items()):
            copy = os.path.join(self.scratch, "sources", path)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(copy, "w", encoding="utf-8") as file:
                file.write(text)
            for name in sorted(self._aliases.get(path, {path})):
                roots.append({"type": "file", "name": os.path.join(self.execution_root, name),
                              "external-contents": copy})
        self._overlay = self._write("overlay.yaml", json.dumps(
            {"version": 0, "use-external-names": "false", "case-sensitive": "true", "roots": roots}))

    def affected(self, path):
        """The objects that include a file of the tree."""
        return [found for found in self.objects.values() if path in found.headers]

    def _is_affected(self, found):
        return any(path in self._files for path in found.headers)

    def _command(self, found, output):
        arguments = list(found.arguments)
        arguments[arguments.index("-o") + 1] = output
        if "-MF" in arguments:
            arguments[arguments.index("-MF") + 1] = "/dev/null"
        return arguments + ["-ivfsoverlay", self._overlay, "-include", os.path.join(self.scratch, "mutant.h"),
                                         "-w", "-ferror-limit=0", "-fno-color-diagnostics"]

    def _compile(self, found, command):
        done = subprocess.run(command, cwd=self.execution_root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True,
                              errors="replace", check=False)
        if done.returncode == 0:
            return
        names = {name: path for path, aliases in self._aliases.items() for name in aliases}
        places = set()
        # Of a template, the compiler names its line first, and then where it was needed.
        for name, line in re.findall(r"^([^\s:]+):(\d+):\d+: (?:fatal )?error: ", done.stderr, re.MULTILINE):
            name = name.removeprefix("./").removeprefix(self.execution_root + "/")
            places.add((names.get(name, name), int(line)))
        raise CompileError(found.source, done.stderr, places)

    def check(self, found):
        """Looks whether a source compiles. CompileError."""
        self._compile(found, self._command(found, "/dev/null") + ["-fsyntax-only"])

    def _key(self, found):
        digest = hashlib.sha256("\0".join(found.arguments).encode())
        digest.update(_SWITCH_HEADER.encode())
        for path in sorted(found.headers):
            text = self._files.get(path)
            if text is None:
                with open(os.path.join(self.root, path), encoding="utf-8") as file:
                    text = file.read()
            digest.update(("\0%s\0%s" % (path, text)).encode())
        return digest.hexdigest()[:32]

    def object(self, found):
        """The path of the object with what is shown; compiled if it is not there. CompileError."""
        if not self._is_affected(found):
            return os.path.join(self.execution_root, found.path)
        path = os.path.join(self.scratch, "objects", self._key(found) + ".o")
        if not os.path.exists(path):
            self._compile(found, self._command(found, path + ".new"))
            os.rename(path + ".new", path)
        return path

    def _switch_object(self, compiler):
        if self._switch is None:
            self._switch = os.path.join(self.scratch, "mutant.o")
            subprocess.run([compiler, "-O1", "-fPIC", "-c", "mutant.cc", "-o", self._switch], cwd=self.scratch,
                           check=True)
        return self._switch

    def link(self, test):
        """The path of a test program with what is shown. All its objects have been made."""
        output = os.path.join(self.scratch, "tests", test.name.replace("/", "_"))
        arguments = [self.object(self.objects[argument]) if argument in self.objects else argument
                     for argument in test.arguments]
        arguments[arguments.index("-o") + 1] = output
        response = self._write("link.params", "\n".join(arguments[1:] + [self._switch_object(arguments[0])]) + "\n")
        done = subprocess.run([arguments[0], "@" + response], cwd=self.execution_root, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError("%s does not link:\n%s" % (test.name, done.stderr[-4000:]))
        return output


def _bazel(root, *arguments):
    command = [os.path.join(root, "bazelw"), *arguments]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("%s:\n%s" % (" ".join(command), done.stderr[-4000:]))
    return done.stdout


def _disk_cache():
    """Where .ci/run keeps what has been compiled, if it is there."""
    path = os.environ.get("WEFT_BUILD_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "weft", "build")
    return ["--disk_cache=" + path] if os.path.isdir(path) else []


def from_bazel(root, scratch, targets, jobs):
    """The Build of those tests of a Bazel workspace, which are built first."""
    names = _bazel(root, "query", 'kind("cc_test", %s)' % " + ".join(targets)).split()
    print("mutants: Bazel builds %d tests" % len(names), file=sys.stderr, flush=True)
    _bazel(root, "build", "--jobs=%d" % jobs, *_disk_cache(), *names)
    build = Build(root, scratch, _bazel(root, "info", "execution_root").strip())
    query = 'mnemonic("CppCompile|CppLink", deps(set(%s)))' % " ".join(names)
    actions = json.loads(_bazel(root, "aquery", "--output=jsonproto", "--include_artifacts=false", query))["actions"]
    for action in actions:
        if action["mnemonic"] == "CppCompile":
            _add_object(build, action["arguments"])
    tests = {name[2:].replace(":", "/") for name in names}
    for action in actions:
        if action["mnemonic"] == "CppLink":
            _add_test(build, action["arguments"], tests)
    return build


def _add_object(build, arguments):
    source = arguments[arguments.index("-c") + 1]
    dotd = os.path.join(build.execution_root, os.path.splitext(arguments[arguments.index("-o") + 1])[0] + ".d")
    # Not for the tests: an object that was not needed, of a tool, or of a library that is not ours.
    if source.startswith(("external/", "bazel-out/")) or not source.endswith(".cc") or not os.path.exists(dotd):
        return
    with open(dotd, encoding="utf-8") as file:
        names = file.read().replace("\\\n", " ").split(":", 1)[1].split()
    build.add_object(arguments, [name for name in names if not name.startswith("external/")
                                 and not os.path.isabs(name)])


def _add_test(build, arguments, names):
    # The arguments are given whole, and once more by the file that the linker reads them from.
    arguments = [argument for argument in arguments if not argument.startswith("@")]
    if "-o" not in arguments:
        return  # an archive
    name = arguments[arguments.index("-o") + 1].split("/bin/", 1)[-1]
    if name in names:
        build.add_test(name, arguments)
