"""Reads README.md, HACKING.md and docs/ and holds what they say against the source tree.

What a page shows is never written twice by hand:

    ```cpp      a region of an example, between two lines `//! [name]`, without its indentation
    ```text     lines of the comments of a header or a source, without their `//`
    ```starlark lines of a file of tests/consumer, as those of ```bazelrc

What a page names in backticks, or in an ```sh block, is there: files, directories, targets,
configurations. A word with a star, an ellipsis or a placeholder in capitals is not looked up.
A test in backticks, `SuiteTest.Name`, is a GoogleTest of that suite and name. In a table it stands in a footnote, [^1].
Functions that follow a file and a colon, `a.cc`: `F`, `G`, are named in that file.
"""
import difflib
import os
import re
import textwrap

PAGES = ("README.md", "HACKING.md", "docs/from-loom.md")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^[ \t]*//! \[(\w+)\]\n", re.MULTILINE)
_QUOTED = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[\w./@:=+-]+")
_TARGET = re.compile(r"(@weft)?//[\w./-]*(:[\w.-]+)?")
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_FILE_ENDINGS = (".h", ".cc", ".md", ".py", ".sh", ".bzl", ".bazel")
_FUNCTIONS = re.compile(r"`([\w./-]+\.(?:h|cc))`: ((?:`\w+`(?:, )?)+)")
_TEST = re.compile(r"(\w+Test)\.(\w+)")
_TEST_DEFINITION = re.compile(r"^TEST(?:_P|_F)?\((\w+),\s+(\w+)\)", re.MULTILINE)
_FOOTNOTE = re.compile(r"^\[\^([\w-]+)\]:", re.MULTILINE)
_FOOTNOTE_USE = re.compile(r"\[\^([\w-]+)\]")
_PROGRAM = re.compile(r"^(int main\(|TEST\()", re.MULTILINE)
_CONFIG = re.compile(r"--config=([a-z0-9]+)")
_VARIABLE = re.compile(r"\bWEFT_[A-Z_]+\b")
# In the preface of runtime.h: name, range, and for some a sentence.
_VARIABLE_LINE = re.compile(r"^//   (WEFT_[A-Z_]+) +(\S+)", re.MULTILINE)
_SOURCES = ("include", "lib")


def _comment_lines(text):
    """The comments that begin a line, without their slashes."""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("//"):
            yield line[2:].strip()


def _lines(block):
    return [line.strip() for line in block.strip().splitlines()]


def _contains(lines, part):
    return any(lines[i:i + len(part)] == part for i in range(len(lines) - len(part) + 1))


class Docs:
    """The pages of the tree below `root`, and what is wrong with them."""

    def __init__(self, root):
        self._root = root
        self._pages = {page: self._read(page) for page in PAGES if os.path.exists(self._path(page))}

    def _path(self, name):
        return os.path.join(self._root, name)

    def _read(self, name):
        with open(self._path(name), encoding="utf-8") as file:
            return file.read()

    def _files(self, top):
        for directory, _, names in os.walk(self._path(top)):
            for name in names:
                yield os.path.relpath(os.path.join(directory, name), self._root)

    def _blocks(self, language):
        for page, text in self._pages.items():
            for found, block in _BLOCK.findall(text):
                if found == language:
                    yield page, block

    def _regions(self):
        """(file, name, text) of every marked region."""
        for path in sorted(self._files("examples")):
            if not path.endswith((".cc", ".h")):
                continue
            text = self._read(path)
            marks = list(_MARK.finditer(text))
            for opening, closing in zip(marks[::2], marks[1::2]):
                yield path, opening[1], textwrap.dedent(text[opening.end():closing.start()])

    def broken_regions(self):
        """Marks that do not come in pairs, and examples that no rule compiles."""
        for path in sorted(self._files("examples")):
            if not path.endswith((".cc", ".h")):
                continue
            names = _MARK.findall(self._read(path))
            if names[::2] != names[1::2]:
                yield "%s: the marks %s do not come in pairs" % (path, names)
            package = os.path.dirname(path)
            build_file = os.path.join(package, "BUILD.bazel")
            if names and '"%s"' % os.path.basename(path) not in (
                    self._read(build_file) if os.path.exists(self._path(build_file)) else ""):
                yield "%s: it has regions to quote, but %s does not compile it" % (path, build_file)

    def changed_blocks(self):
        """Code that is not, line for line, that of a compiled example."""
        regions = list(self._regions())
        for page, block in self._blocks("cpp"):
            if any(block == text for _, _, text in regions):
                continue
            if not regions:
                yield "%s: a block of C++, and no example has a marked region" % page
                continue
            path, name, text = max(regions, key=lambda region: difflib.SequenceMatcher(None, block, region[2]).ratio())
            yield "%s: a block is not that of any example; the nearest is [%s]:\n%s" % (page, name, "".join(
                difflib.unified_diff(text.splitlines(True), block.splitlines(True), path, page)))

    def example_violations(self):
        """Programs of examples/ that its README.md does not list, and what it lists and is not there."""
        page = "examples/README.md"
        listed = {word for word in _QUOTED.findall(self._read(page)) if word.endswith((".cc", "/"))
                  and not word.startswith("docs/")}
        for name in sorted(listed):
            if not os.path.exists(self._path(os.path.join("examples", name))):
                yield "%s: there is no %s" % (page, name)
        for path in sorted(self._files("examples")):
            if path.endswith(".cc") and _PROGRAM.search(self._read(path)):
                name = os.path.relpath(path, "examples")
                if name not in listed:
                    yield "%s: %s is not listed" % (page, name)

    def changed_quotations(self):
        """Text that no comment of the sources has, and build files that no consumer has."""
        comments = [list(_comment_lines(self._read(path))) for top in _SOURCES for path in self._files(top)
                    if path.endswith((".h", ".cc"))]
        for page, block in self._blocks("text"):
            if not any(_contains(lines, _lines(block)) for lines in comments):
                yield "%s: no comment has these lines (any more):\n%s" % (page, block)
        builds = [_lines(self._read(path)) for path in self._files("tests/consumer") if not path.endswith(".cc")]
        for page, block in [*self._blocks("starlark"), *self._blocks("bazelrc")]:
            if not any(_contains(lines, _lines(block)) for lines in builds):
                yield "%s: no file of tests/consumer has these lines (any more):\n%s" % (page, block)

    def _names(self):
        """(page, word) of what stands in backticks or in a block of commands."""
        for page, text in self._pages.items():
            for quoted in _QUOTED.findall(_BLOCK.sub("", text)):
                for word in quoted.split() if quoted.startswith("./bazelw") else [quoted]:
                    yield page, word
        for page, block in self._blocks("sh"):
            for line in block.splitlines():
                for word in line.split("#")[0].split():
                    yield page, word

    def missing_names(self):
        """Files, directories, targets and configurations that are named and are not there."""
        configs = set(re.findall(r"^\w+:(\w+) ", self._read(".bazelrc"), re.MULTILINE))
        basenames = {os.path.basename(path) for top in _SOURCES + ("examples", "tests", "bazel", "tools")
                     for path in self._files(top)}
        for page, word in self._names():
            for config in _CONFIG.findall(word):
                if config not in configs:
                    yield "%s: .bazelrc has no configuration %s" % (page, config)
            if not _WORD.fullmatch(word) or "..." in word.replace("//...", "").replace("/...", ""):
                continue
            if _TARGET.fullmatch(word.replace("/...", "")):
                reason = self._no_target(word)
                if reason:
                    yield "%s: %s: %s" % (page, word, reason)
            elif _PATH.fullmatch(word) and ("/" in word or word.endswith(_FILE_ENDINGS)):
                places = [self._path(word), self._path("include/" + word)]
                if not any(map(os.path.exists, places)) and ("/" in word or word not in basenames):
                    yield "%s: there is no %s" % (page, word)

    def _no_target(self, word):
        """Why there is no such target, or None."""
        label = word.removeprefix("@weft").removeprefix("//")
        package, _, name = label.partition(":")
        if package.endswith("..."):
            return None if os.path.isdir(self._path(package[:-len("...")])) else "there is no such directory"
        name = name or os.path.basename(package)
        build_file = os.path.join(package, "BUILD.bazel")
        if not os.path.exists(self._path(build_file)):
            return "there is no %s" % build_file
        if 'name = "%s"' % name not in self._read(build_file):
            return "%s has no such target" % build_file
        return None

    def misplaced_functions(self):
        """Functions that no file of the given name has."""
        sources = [path for top in _SOURCES for path in self._files(top)]
        for page, text in self._pages.items():
            for name, functions in _FUNCTIONS.findall(_BLOCK.sub("", text)):
                found = [self._read(path) for path in sources if ("/" + path).endswith("/" + name)]
                for function in re.findall(r"\w+", functions):
                    if not any(re.search(r"\b%s\b" % function, source) for source in found):
                        yield "%s: %s has no %s" % (page, name, function)

    def missing_tests(self):
        """Tests that are named and that no source defines."""
        defined = {test for path in self._files("tests") if path.endswith(".cc")
                   for test in _TEST_DEFINITION.findall(self._read(path))}
        for page, word in self._names():
            test = _TEST.fullmatch(word)
            if test and test.groups() not in defined:
                yield "%s: there is no test %s" % (page, word)

    def footnote_violations(self):
        """Footnotes that nothing refers to, or that are not there, or twice; and tests in a table, which they swamp."""
        for page, text in self._pages.items():
            defined = _FOOTNOTE.findall(text)
            used = set(_FOOTNOTE_USE.findall(_FOOTNOTE.sub("", text)))
            for label in sorted({label for label in defined if defined.count(label) > 1}):
                yield "%s: the footnote %s is there twice" % (page, label)
            for label in sorted(set(defined) - used):
                yield "%s: nothing refers to the footnote %s" % (page, label)
            for label in sorted(used - set(defined)):
                yield "%s: there is no footnote %s" % (page, label)
            for line in text.splitlines():
                if line.startswith("|") and any(_TEST.fullmatch(word) for word in _QUOTED.findall(line)):
                    yield "%s: a test is named in a table, not in a footnote: %s" % (page, line)

    def version_violations(self):
        """Versions: include/weft/version.h says that of MODULE.bazel, in numbers and in words."""
        version = re.search(r'^    version = "([^"]*)"', self._read("MODULE.bazel"), re.MULTILINE)[1]
        header = self._read("include/weft/version.h")
        numbers = [re.search(r"^#define WEFT_VERSION_%s (.*)$" % part, header, re.MULTILINE)[1]
                   for part in ("MAJOR", "MINOR", "PATCH", "STRING")]
        if numbers != [*version.split("."), '"%s"' % version]:
            yield "include/weft/version.h says %s, and MODULE.bazel %s" % (" ".join(numbers), version)

    def variable_violations(self):
        """Environment variables: README.md's are those of runtime.h, with the same ranges."""
        declared = dict(_VARIABLE_LINE.findall(self._read("include/weft/runtime.h")))
        readme = self._pages["README.md"]
        for name in sorted(set(_VARIABLE.findall(readme)) - set(declared)):
            yield "README.md: %s is no variable of include/weft/runtime.h" % name
        for name, values in sorted(declared.items()):
            rows = [line for line in readme.splitlines() if line.startswith("| `%s` |" % name)]
            if len(rows) != 1:
                yield "README.md: %s has %d rows in the table of variables, not one" % (name, len(rows))
            elif any("`%s`" % value not in rows[0] for value in values.split("|")):
                yield "README.md: the row of %s does not give %s" % (name, values)
