"""Reads where what a header declares is implemented, and how wide the lines of the tree are."""
import os
import re

from tests.style import cpp_source

MAX_COLUMNS = 120
# A class is defined in a header and a source, or in two headers; with the number of files and the reason, in more.
MAX_FILES = 2
IN_MORE_FILES = {
    # What a user sees as one thing has parts in two components: what a thread is, and how it is started and joined.
    "VirtualThread": 5,
    # Two sources of which a program has one: the second is the model checker's.
    "CheckFailure": 3,
    # The seam of the checker, and what runs behind it.
    "Execution": 3,
    # Its class is public for the sake of its places; its short functions are inlined into the channel's, the long not.
    "ElementRing": 3,
    # One function of it is inlined, and needs its runtime.
    "RunQueue": 3,
}
_TOPS = ("include", "lib")
_DIRECTORIES = _TOPS + ("bazel", "benchmarks", "examples", "tests", "third_party", "tools")
_CODE = (".h", ".cc", ".py", ".bzl", ".bazel", ".sh")

_CLASS = re.compile(r"^ *(?:template <[^;{]*>\s*)?(?:class|struct)\s+(?:\[\[[^\]]*\]\]\s*)*(?:alignas\([^)]*\)\s*)?"
                    r"(\w+)(?:\s+final)?\s*(?::[^:;{][^;{]*)?\{", re.MULTILINE)
_QUALIFIED = re.compile(r"^(?![ #}/])[^;={}\n(]*?\b((?:\w+::)+)(?:~?\w+|operator[^(\n]*)\s*\(", re.MULTILINE)
_FREE = re.compile(r"^(?![ #}/]|return|using|static_assert|constinit|namespace|template|class|struct|TEST)"
                   r"(?:\[\[[^\]]*\]\] *)?[\w:<>*&, ]+[ *&](\w+)\(", re.MULTILINE)
_ANONYMOUS = re.compile(r"^namespace (\{)$", re.MULTILINE)


def _without_anonymous(code):
    """What other files cannot name is left out."""
    kept, at = "", 0
    for match in _ANONYMOUS.finditer(code):
        if match.start() < at:
            continue
        kept += code[at:match.start()]
        depth = 0
        for at in range(match.start(1), len(code)):
            depth += {"{": 1, "}": -1}.get(code[at], 0)
            if depth == 0:
                break
        at += 1
    return kept + code[at:]


class _Source:
    def __init__(self, root, path):
        self.path = path
        self.stem = os.path.splitext(os.path.basename(path))[0]
        lines = cpp_source.split(cpp_source.read(os.path.join(root, path)))
        self.code = "\n".join(code.rstrip() for code, _ in lines)
        self.comments = "\n".join(comment.strip() for _, comment in lines)
        self.classes = set(_CLASS.findall(self.code))

    def declares(self):
        """The free functions that it declares and does not define."""
        found = set()
        for match in _FREE.finditer(self.code):
            end = re.compile(r"[;{]").search(self.code, match.end())
            if end and end[0] == ";":
                found.add(match[1])
        return found

    def defines(self):
        """What it defines, of classes by their names, and the free functions that others may call."""
        code = _without_anonymous(self.code)
        classes = {tuple(match[1].split("::")[:-1]) for match in _QUALIFIED.finditer(code)}
        functions = set()
        for match in _FREE.finditer(code):
            end = re.compile(r"[;{]").search(code, match.end())
            if end and end[0] == "{":
                functions.add(match[1])
        return classes, functions


class Layout:
    """The tree below `root`, and what is wrong with it."""

    def __init__(self, root):
        self._root = root

    def _paths(self, tops, endings):
        for top in tops:
            for directory, directories, names in os.walk(os.path.join(self._root, top)):
                directories[:] = sorted(name for name in directories
                                        if not name.startswith((".", "bazel-")) and name != "__pycache__")
                for name in sorted(names):
                    if name.endswith(endings):
                        yield os.path.relpath(os.path.join(directory, name), self._root)

    def headers_implemented_elsewhere(self):
        """Headers of which a source of another name has a part, unless a comment there names it: `(other.cc)`."""
        headers = [_Source(self._root, path) for path in self._paths(_TOPS, (".h",))]
        classes, functions = {}, {}
        for header in headers:
            for name in header.classes:
                classes.setdefault(name, []).append(header)
            for name in header.declares():
                functions.setdefault(name, []).append(header)
        of_functions = {}
        for path in self._paths(("lib",), (".cc",)):
            source = _Source(self._root, path)
            qualifiers, defined = source.defines()
            for name in sorted({names[0] for names in (
                    [name for name in names if name in classes] for names in qualifiers) if names}):
                if name not in source.classes and not self._is_said(classes[name], source):
                    yield "%s: a part of %s is implemented in %s, and no comment says so" % (
                        classes[name][0].path, name, path)
            for name in defined & functions.keys():
                of_functions.setdefault(name, []).append(source)
        # Where there are two of a function, one is the model checker's.
        for name, sources in sorted(of_functions.items()):
            if not any(self._is_said(functions[name], source) for source in sources):
                yield "%s: %s is implemented in %s, and no comment says so" % (
                    functions[name][0].path, name, sources[0].path)

    def classes_in_many_files(self):
        """Classes whose parts lie in more than MAX_FILES files, those that a class lies in by itself among them."""
        sources = [_Source(self._root, path) for path in self._paths(_TOPS, (".h", ".cc"))]
        homes = {}
        for source in sources:
            if source.path.endswith(".h"):
                for name in source.classes:
                    homes.setdefault(name, []).append(source)
        files = {name: {headers[0].path} for name, headers in homes.items() if len(headers) == 1}
        for source in sources:
            qualifiers, _ = source.defines()
            for names in qualifiers:
                # The outermost one that a header knows, unless the file has one of this name itself.
                name = next((name for name in names if name in homes), None)
                if name in files and name not in source.classes:
                    files[name].add(source.path)
        return {name: sorted(paths) for name, paths in files.items() if len(paths) > MAX_FILES}

    @staticmethod
    def _is_said(headers, source):
        return any(header.stem == source.stem or source.stem + ".cc" in header.comments for header in headers)

    def wide_lines(self):
        """Lines over 120 columns of code and comments, those of the pages' blocks among them."""
        top = sorted(name for name in os.listdir(self._root) if name.endswith(_CODE))
        for path in [*top, *self._paths(_DIRECTORIES, _CODE)]:
            yield from self._wide(path, cpp_source.read(os.path.join(self._root, path)))
        for path in sorted(name for name in os.listdir(self._root) if name.endswith(".md")) + list(
                self._paths(("docs",), (".md",))):
            text, in_block = "", False
            for line in cpp_source.read(os.path.join(self._root, path)).split("\n"):
                in_block ^= line.startswith("```")
                text += (line if in_block else "") + "\n"
            yield from self._wide(path, text)

    @staticmethod
    def _wide(path, text):
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > MAX_COLUMNS:
                yield "%s:%d: %d columns" % (path, number, len(line))
