"""Reads the atomic operations and fences of lib/ and include/ and what the comments beside them say.

The convention stands in HACKING.md, "Orders and their labels". A comment is beside an operation if it ends one of the
lines of its statement, or stands directly above it.
"""
import os
import re

from tests.style import cpp_source

_TOPS = ("include", "lib")
_MENTIONED_IN = _TOPS + ("tests",)
_PAGES = ("HACKING.md", "docs")
# They say what an order is, for the compiler and for the model checker; they use none.
_SEAMS = ("include/weft/internal/atomic.h", "lib/base/fence.h", "lib/os/membarrier.cc", "lib/testing/model/")

_ORDERS = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")
_FENCES = {"StoreLoadFence": "seq_cst", "LightFence": "light", "BiasFence": "light", "HeavyFence": "heavy",
           "atomic_thread_fence": None, "atomic_signal_fence": None}
_WORD = "|".join(_ORDERS + ("light", "heavy"))

_ORDER = re.compile(r"\bmemory_order(?:_|::)(%s)\b" % "|".join(_ORDERS))
_LABEL_ARGUMENT = re.compile(r'\bWEFT_ORDER\(\s*"([^"]*)"')
_OPERATION = re.compile(r"(?:\.|->)\s*(load|store|exchange|fetch_\w+|compare_exchange_\w+)\s*\(")
_BY_OPERATOR = re.compile(r"(?:\+\+|--)(\w+)\b(?![.\[(-])|(?<![\w>\]] )(?<![\w.>])(\w+_) ?(?:\+\+|--|[-+|&^]?=(?!=))")
_FENCE = re.compile(r"(?<!void )\b(%s)\s*\(" % "|".join(_FENCES))
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\($")
_DECLARATION = re.compile(r"\bAtomic<((?:[^<>]|<[^<>]*>)*)>\s*(?:\w+::\*\s*)?&?\s*([A-Za-z_]\w*)\s*(?=[;{=,)\[:(])")
_LABEL = re.compile(r"\[([a-z_]+/\d+)\]")
# `[deque/2] release: pairs with [deque/3].` or `[chunk/2] release, acquire on failure: ...`
_DEFINITION = re.compile(r"\[([a-z_]+/\d+)\] ((?:%s)\b[^:;.\[]*)(?=[:;.]|$)" % _WORD)
_PARTNERS = re.compile(r"\bwith (itself|(?:\[[a-z_]+/\d+\](?:,? and |,? or |, )?)+)")
_REASON = re.compile(r"\brelaxed: \S")


class _Operation:
    """One atomic operation, fence, or call that is given an order."""

    def __init__(self, file, begin, end, name, receiver):
        self.file, self.begin, self.end, self.name, self.receiver = file, begin, end, name, receiver
        self.orders = []
        self.arguments = []  # labels of WEFT_ORDER
        self.passes_on = False
        if _FENCES.get(name):
            self.orders.append(_FENCES[name])

    def where(self):
        return "%s:%d" % (self.file.path, self.file.line_of(self.begin) + 1)

    def ordered(self):
        return set(self.orders) - {"relaxed"}


class _File:
    """The operations of one file, with the comments beside them."""

    def __init__(self, root, path):
        self.path = path
        self.lines = cpp_source.split(cpp_source.read(os.path.join(root, path)))
        self.code = "\n".join(code for code, _ in self.lines)
        self.starts = [0]
        for code, _ in self.lines:
            self.starts.append(self.starts[-1] + len(code) + 1)
        self.operations = [] if path.startswith(_SEAMS) else list(self._operations())
        self.declarations = {}  # name of an Atomic -> the comments beside each declaration of it
        for match in _DECLARATION.finditer(self.code):
            self.declarations.setdefault(match[2], []).append(self.beside(match.start(), match.end()))

    def line_of(self, position):
        low, high = 0, len(self.lines) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.starts[middle] <= position else (low, middle - 1)
        return low

    def beside(self, begin, end):
        """The comments at the lines of a statement and directly above it, as (line, text)."""
        first, last = self.line_of(begin), self.line_of(end)
        found = [(line, self.lines[line][1]) for line in range(first, last + 1)]
        line = first - 1
        while line >= 0:
            code, comment = (part.strip() for part in self.lines[line])
            if (not code and not comment) or code.endswith((";", "{", "}", ":")) or code.startswith("#"):
                break
            found.insert(0, (line, comment))
            line -= 1
        return [(line, text.strip().lstrip("/").strip()) for line, text in found if text.strip()]

    def _end_of_call(self, opening):
        depth = 0
        for i in range(opening, len(self.code)):
            depth += {"(": 1, ")": -1}.get(self.code[i], 0)
            if depth == 0:
                return i
        return len(self.code) - 1

    def _receiver(self, end):
        before = self.code[:end].rstrip()
        while before.endswith((")", "]")):
            opening, depth = len(before) - 1, 0
            while opening >= 0:
                depth += {")": 1, "]": 1, "(": -1, "[": -1}.get(before[opening], 0)
                if depth == 0:
                    break
                opening -= 1
            inside, before = before[opening + 1:-1], before[:opening].rstrip()
            if not re.search(r"\w$", before):
                before = inside
        match = re.search(r"([A-Za-z_]\w*)$", before)
        return match[1] if match else None

    def _operations(self):
        spans = {}
        for match in _OPERATION.finditer(self.code):
            end = self._end_of_call(match.end() - 1)
            spans[match.end() - 1] = _Operation(self, match.start(), end, match[1], self._receiver(match.start()))
        for match in _FENCE.finditer(self.code):
            spans[match.end() - 1] = _Operation(self, match.start(), self._end_of_call(match.end() - 1), match[1], None)
        for match in _ORDER.finditer(self.code):
            if re.search(r"memory_order(\s+\w+)?\s*=\s*(std::)?$", self.code[:match.start()]):
                continue  # the default of a parameter
            opening, label = self._call_around(match.start())
            if opening not in spans:
                name = _CALL.search(self.code[:opening + 1])
                spans[opening] = _Operation(self, opening, self._end_of_call(opening), name[1] if name else "?", None)
            if _FENCES.get(spans[opening].name) is None:
                spans[opening].orders.append(match[1])
            if label:
                spans[opening].arguments.append(label)
        for operation in spans.values():
            operation.passes_on = bool(re.search(r"\border\b", self.code[operation.begin:operation.end]))
        return [spans[opening] for opening in sorted(spans)]

    def _call_around(self, position):
        """The opening parenthesis of the call that it is an argument of, past a WEFT_ORDER, and that one's label."""
        label, depth, i = None, 0, position
        while i > 0:
            i -= 1
            depth += {")": 1, "(": -1}.get(self.code[i], 0)
            if depth < 0:
                if not self.code[:i].endswith("WEFT_ORDER"):
                    return i, label
                label, depth = _LABEL_ARGUMENT.match(self.code, i - len("WEFT_ORDER"))[1], 0
        return 0, label


class _Definition:
    """A label with its order, at its operation."""

    def __init__(self, label, header, text, operation):
        self.label, self.operation = label, operation
        self.words = set(re.findall(r"\b(?:%s)\b" % _WORD, header))
        self.partners = set()
        if re.search(r"\bpairs? with\b", text):
            for match in _PARTNERS.finditer(text):
                self.partners |= {label} if match[1] == "itself" else set(_LABEL.findall(match[1]))


    def is_of(self, operation):
        """Of two in one statement, one with WEFT_ORDER takes its own label, and a relaxed one no other's."""
        if operation.arguments:
            return self.label in operation.arguments
        return bool(operation.ordered()) == bool(self.words - {"relaxed"})


def _definitions(comments):
    """The labels that are defined in comments of a statement: (line, label, header, what is said of it)."""
    text, lines = "", []
    for line, part in comments:
        text += part + " "
        lines += [line] * (len(part) + 1)
    found = list(_DEFINITION.finditer(text))
    for match, following in zip(found, found[1:] + [None]):
        yield lines[match.start()], match[1], match[2], text[match.start():following.start() if following else None]


class Orders:
    """The orders of the tree below `root`, and what is wrong with them."""

    def __init__(self, root):
        self._root = root
        self._files = [_File(root, path) for top in _TOPS for path in self._paths(top, (".h", ".cc"))]
        self._definitions = {}  # label -> definition
        self._twice = []
        self._beside = {}  # operation -> its definitions
        for file in self._files:
            self._read(file)
        self._atomics = {}
        for file in self._files:
            for name, comments in file.declarations.items():
                self._atomics.setdefault(name, []).extend(comments)

    def _paths(self, top, endings):
        if top.endswith(endings):
            return [top] if os.path.exists(os.path.join(self._root, top)) else []
        return sorted(os.path.relpath(os.path.join(directory, name), self._root)
                      for directory, _, names in os.walk(os.path.join(self._root, top))
                      for name in names if name.endswith(endings))

    def _read(self, file):
        for operation in file.operations:
            for line, label, header, text in _definitions(file.beside(operation.begin, operation.end)):
                definition = _Definition(label, header, text, operation)
                if not definition.is_of(operation):
                    continue
                self._beside.setdefault(operation, []).append(definition)
                if label in self._definitions:
                    other = self._definitions[label].operation
                    self._twice.append("%s: [%s] stands at %s as well" % (operation.where(), label, other.where()))
                self._definitions[label] = definition

    def _operations(self):
        for file in self._files:
            yield from file.operations

    def labels_that_stand_twice(self):
        """One label, one operation."""
        yield from self._twice

    def orders_without_a_label(self):
        """Operations and fences that order something, and do not say what."""
        for operation in self._operations():
            named = self._beside.get(operation, [])
            if operation.ordered() and not named:
                yield "%s: %s is %s, and has no [label/N] that says why" % (
                    operation.where(), operation.name, " and ".join(sorted(operation.ordered())))
            for label in operation.arguments:
                if label not in [definition.label for definition in named]:
                    yield "%s: WEFT_ORDER names %s, and no comment beside it says why" % (operation.where(), label)

    def orders_that_differ(self):
        """Comments that speak of another order than the operation has."""
        for operation in self._operations():
            named = self._beside.get(operation, [])
            words = {word for definition in named for word in definition.words}
            if named and operation.orders and words - {"relaxed"} != operation.ordered():
                yield "%s: %s is %s, and the comment says %s" % (
                    operation.where(), operation.name, " and ".join(sorted(set(operation.orders))),
                    " and ".join(sorted(words)))

    def operations_without_an_order(self):
        """Operations on an Atomic that leave the order to its default."""
        for operation in self._operations():
            if (operation.receiver in self._atomics and operation.name not in _FENCES and not operation.orders
                    and not operation.passes_on):
                yield "%s: %s.%s names no order" % (operation.where(), operation.receiver, operation.name)
        for file in self._files:
            stem = os.path.splitext(file.path)[0]
            names = {name for other in self._files if other.path in (file.path, stem + ".h")
                     for name in other.declarations if name.endswith("_")}
            for match in _BY_OPERATOR.finditer(file.code):
                if (match[1] or match[2]) in names and not file.path.startswith(_SEAMS):
                    yield "%s:%d: %s names no order" % (
                        file.path, file.line_of(match.start()) + 1, match[0].strip())

    def labels_without_a_partner(self):
        """Orders that pair with nothing, or with what does not point back."""
        for label, definition in sorted(self._definitions.items()):
            where = definition.operation.where()
            if not definition.partners and definition.operation.ordered():
                yield "%s: [%s] pairs with nothing" % (where, label)
            for partner in sorted(definition.partners):
                if partner in self._definitions and label not in self._definitions[partner].partners:
                    yield "%s: [%s] pairs with [%s], which does not pair with it" % (where, label, partner)

    def labels_that_mean_nothing(self):
        """Labels in comments, and on the pages, that stand at no operation."""
        for top in _MENTIONED_IN + _PAGES:
            for path in self._paths(top, (".h", ".cc", ".md")):
                if path.startswith(_SEAMS):
                    continue
                text = cpp_source.read(os.path.join(self._root, path))
                if path.endswith(".md"):
                    comments = text.split("\n")
                else:
                    comments = [comment for _, comment in cpp_source.split(text)]
                for number, comment in enumerate(comments, 1):
                    for label in _LABEL.findall(comment):
                        if label not in self._definitions:
                            yield "%s:%d: [%s] stands at no operation" % (path, number, label)

    def relaxed_without_a_reason(self):
        """Relaxed operations without `relaxed: why`, beside them or where their Atomic is declared."""
        for operation in self._operations():
            if "relaxed" not in operation.orders or operation.ordered() or self._beside.get(operation):
                continue
            beside = " ".join(text for _, text in operation.file.beside(operation.begin, operation.end))
            if not _REASON.search(beside) and not self._has_reason(operation):
                yield "%s: %s.%s is relaxed, and nobody says why" % (
                    operation.where(), operation.receiver, operation.name)

    def _has_reason(self, operation):
        """Of declarations of that name, those in the file count; else those in the header beside; else all.

        Beside lib/thread/join_count.h is weft/internal/join_count.h as well, which has what templates need of it.
        """
        stem = os.path.splitext(operation.file.path)[0]
        headers = (stem + ".h", "include/weft/internal/%s.h" % os.path.basename(stem))
        name = operation.receiver
        own = [file for file in self._files if file.path == operation.file.path and name in file.declarations]
        beside = [file for file in self._files if file.path in headers and name in file.declarations]
        declared = [comments for file in own or beside for comments in file.declarations[name]]
        declared = declared or self._atomics.get(name, [])
        return bool(declared) and all(
            _REASON.search(" ".join(text for _, text in comments)) for comments in declared)
