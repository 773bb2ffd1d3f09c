"""Where a one-line defect may be put into a C++ source, and how it is put there.

A defect is written beside the code that it replaces, behind a switch, on the same line:

    if (weft_mutant::On(7) != static_cast<bool>(a < b)) {

so that one build holds all that were drawn, a run turns one of them on, and no line moves. Five rules:

    negate   a condition is negated: of an if, a loop, or a returned comparison
    drop     a statement is left out
    bound    < is <= and so on, or 1 is neither added nor taken away
    swap     two statements change places
    return   a function ends early

This is no parser of C++. It looks only at statements that are whole on one line of a function's body, and takes what it
is sure of; what it is wrong about does not compile, and is not drawn then (build.py).
"""
import bisect
import hashlib
import re

RULES = ("negate", "drop", "bound", "swap", "return")

_ON = "weft_mutant::On(%d)"
_OPERAND = r"[\w.\->\[\]():*']+(?: [-+*/%] [\w.\->\[\]():*']+)*"
# What binds less than a comparison.
_BEFORE_RELATION = re.compile(r"(^|[(,;{?:]|&&|\|\||[^=!<>]=|\breturn)\s*$")
_AFTER_RELATION = re.compile(r"\s*($|[),;}?:\]]|&&|\|\|)")
_RELATION = re.compile(r"(?P<a>%s) (?P<op><=|>=|<|>) (?P<b>%s)" % (_OPERAND, _OPERAND))
_OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_ONE_MORE = re.compile(r"(?<=[\w\])]) [+-] (1)(?![\w.'])")
_ASSIGNMENT = re.compile(r"[\w.\->\[\]():*]+ (=|\+=|-=|\|=|&=|\^=|<<=|>>=) ")
_STEP = re.compile(r"(\+\+|--)[\w.\->\[\]():*]+|[\w.\->\[\]():*]+(\+\+|--)")
_CALL = re.compile(r"(co_await )?[\w:.\->\[\]*&()]*\w(<[^;()]*>)?\(")
_NO_STATEMENT = re.compile(r"(return|co_return|co_yield|throw|goto|using|typedef|static_assert|case|default|friend|"
                           r"template|public|private|protected|else|if|for|while|do|switch|struct|class|enum|"
                           r"namespace|asm)\b")
_CONSTANT = re.compile(r"\b(constexpr|consteval|static_assert|requires|concept|template|operator)\b")
_BOOLEAN = re.compile(r" (==|!=|&&|\|\||<=|>=|<|>) |^!")


class Site:
    """One defect: in `path`, text[begin:end] is to be replaced."""

    def __init__(self, path, text, rule, begin, end, what, replacement):
        self.path = path
        self.rule = rule
        self.begin = begin
        self.end = end
        self.what = what                 # the code, for people and for the key
        self.replacement = replacement   # with one %d, the number
        self.line = text.count("\n", 0, begin) + 1
        self.last_line = text.count("\n", 0, end) + 1
        self.key = None                  # set by sites()
        self.number = None

    def __repr__(self):
        return "%s:%d: %s" % (self.path, self.line, self.key)


def code_only(text):
    """The same text, as long and with the same lines, without comments, preprocessor lines and what is in literals."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'|'
        r'^[ \t]*#(?:\\\n|[^\n])*', re.DOTALL | re.MULTILINE)

    def blank(match):
        found = match.group()
        inner = re.sub(r"[^\n]", " ", found)
        return found[0] + inner[1:-1] + found[-1] if found[0] in "\"'" else inner

    return pattern.sub(blank, text)


class _Block:
    """A pair of braces: what kind, what stands before it, and where it is."""

    def __init__(self, kind, head, begin, parent, parens):
        self.kind = kind
        self.head = head
        self.begin = begin
        self.end = None
        self.parent = parent
        self.parens = parens   # open parentheses around it


def _without_template(head):
    """`head` without its template<...> clauses."""
    while True:
        found = re.search(r"\btemplate\s*<", head)
        if not found:
            return head
        depth, at = 1, found.end()
        while at < len(head) and depth:
            depth += {"<": 1, ">": -1}.get(head[at], 0)
            at += 1
        head = head[:found.start()] + head[at:]


def _kind(head, inside):
    head = _without_template(head).strip()
    in_function = inside in ("function", "lambda", "block")
    if re.search(r"\bnamespace\b|\bextern\s*\"", head):
        return "namespace"
    if re.search(r"\benum\b", head):
        return "other"
    if re.search(r"(^|[=(,{&\s])\[[^\[\]]*\]\s*(\(.*\))?\s*(mutable|noexcept|->[^;{}]*|\s)*$", head, re.DOTALL):
        return "lambda"
    if re.search(r"\b(class|struct|union)\b", head) and not head.endswith(")"):
        return "class"
    if in_function and (head == "" or re.search(r"(\b(else|do|try)|:)$", head) or
                        re.match(r"(.*\b)?(if|for|while|switch|catch)\b.*\)(\s*\[\[\w+\]\])?$", head, re.DOTALL)):
        return "block"
    if not in_function and re.search(r"\)\s*(const|noexcept(\s*\(.*\))?|override|final|&&?|->[^;{}=]*|:[^;]*[)}]|\s)*$",
                                     head, re.DOTALL):
        return "function"
    return "other"


def _blocks(code):
    """All pairs of braces, in the order of their beginnings."""
    blocks, stack, parens, head = [], [], 0, 0
    for at, char in enumerate(code):
        if char == "(":
            parens += 1
        elif char == ")":
            parens -= 1
        elif char == "{":
            parent = stack[-1] if stack else None
            block = _Block(_kind(code[head:at], parent.kind if parent else "namespace"), code[head:at], at, parent,
                           parens)
            blocks.append(block)
            stack.append(block)
            head = at + 1
        elif char == "}" and stack:
            block = stack.pop()
            block.end = at
            parens = block.parens
            if block.kind != "other":
                head = at + 1
        elif char == ";" and parens == (stack[-1].parens if stack else 0):
            head = at + 1
    return [block for block in blocks if block.end is not None]


def _balanced(text):
    depth = 0
    for char in text:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0


def _closing(text, opening):
    """The index of the parenthesis that closes the one at `opening`, or -1."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return -1


def _split(text, separator):
    """`text` at those separators that are in no parentheses."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if char == separator and depth == 0:
            parts.append((begin, at))
            begin = at + 1
    return parts + [(begin, len(text))]


class _Line:
    """A line of code in a function."""

    def __init__(self, begin, code, previous):
        self.begin = begin                       # of the code, without its indentation
        self.code = code
        self.indent = 0
        self.block = None
        self.previous = previous                 # the code of the line before
        self.is_statement = code.endswith(";") and _balanced(code) and code.count(";") == 1
        # The only statement of an if without braces, or of the like.
        self.is_body = bool(re.search(r"(\)|\belse)$", previous))
        self.begins_statement = self.is_body or previous == "" or previous[-1] in ";{}:"


def _lines(text, code):
    """The lines that lie in functions, in order."""
    blocks = _blocks(code)
    begins = [block.begin for block in blocks]
    lines, offset, previous = [], 0, ""
    for raw in code.split("\n"):
        stripped = raw.strip()
        if stripped:
            line = _Line(offset + len(raw) - len(raw.lstrip()), stripped, previous)
            line.indent = len(raw) - len(raw.lstrip())
            at = bisect.bisect_left(begins, line.begin) - 1
            while at >= 0 and blocks[at].end < line.begin:
                at -= 1
            if at >= 0 and blocks[at].kind in ("function", "lambda", "block"):
                line.block = blocks[at]
                lines.append(line)
            previous = stripped
        offset += len(raw) + 1
    return lines


def _droppable(line):
    """It is a statement that does something and declares nothing."""
    if not (line.is_statement and line.begins_statement):
        return False
    if _NO_STATEMENT.match(line.code) or _CONSTANT.search(line.code):
        return False
    code = line.code[:-1]
    if code in ("break", "continue") or code.startswith("delete "):
        return True
    if _ASSIGNMENT.match(code) or _STEP.fullmatch(code):
        return True
    if re.fullmatch(r"static_cast<void>\([\w.]+\)", code):
        return False
    call = _CALL.match(code)
    return bool(call and " " not in code[:call.end()].removeprefix("co_await "))


_OWN = re.compile(r"(?:\+\+|--)?([a-z](?:\w*[a-z0-9])?)(?:\+\+|--|( [-+|&]?= )(.*))?;")


def _names(code):
    return set(re.findall(r"[A-Za-z_]\w*", code))


def _independent(first, second):
    """They have no name in common, and one of them at least calls nothing and changes only a variable of the function's
    own, or both are assignments that call nothing."""
    if _names(first) & _names(second):
        return False
    return any(_OWN.fullmatch(code) and "(" not in code for code in (first, second)) or \
        all(_ASSIGNMENT.match(code) and "(" not in code for code in (first, second))


def _negations(line):
    """(begin, end) in the line of every condition that can be negated."""
    for found in re.finditer(r"\b(if|while|for) \(", line.code):
        closing = _closing(line.code, found.end() - 1)
        if closing < 0:
            continue
        inside = line.code[found.end():closing]
        parts = _split(inside, ";")
        if found.group(1) == "for" and len(parts) != 3:
            continue
        begin, end = parts[1] if found.group(1) == "for" else parts[-1]
        yield found.end() + begin + len(inside[begin:end]) - len(inside[begin:end].lstrip()), found.end() + end
    found = re.match(r"(?:co_)?return (.*);$", line.code)
    if found and line.is_statement and _BOOLEAN.search(found.group(1)) and len(_split(found.group(1), "?")) == 1:
        yield found.span(1)


def _condition_is_plain(condition):
    return condition.strip() not in ("", "true", "false") and not re.search(r"(?<![=!<>+\-*/|&^])=(?!=)", condition)


def _trim(code, begin, end, left):
    """Of an operand: without the parentheses that it does not close."""
    while begin < end and not _balanced(code[begin:end]):
        begin, end = (begin + 1, end) if left else (begin, end - 1)
    return begin, end


def _how_to_return(line):
    """What ends the function early, or None."""
    block = line.block
    while block.kind == "block":
        block = block.parent
    if block.kind != "function" or "noreturn" in block.head:
        return None
    head = _without_template(block.head)
    name = head.find("(")
    before = head[:name]
    if re.search(r"\bTask<void>", before):
        return "co_return;"
    if re.search(r"\bvoid [\w:~]*$", before):
        return "return;"
    if re.search(r"\bbool [\w:]*$", before):
        return "return %s;" % ("false" if len(line.code) % 2 else "true")
    return None


def _is_coroutine(line, code):
    block = line.block
    while block.kind == "block":
        block = block.parent
    return re.search(r"\bco_(await|return|yield)\b", code[block.begin:block.end]) is not None


def _sites_of_line(path, text, code, line, following):
    """(rule, begin, end, what, replacement)"""
    def source(begin, end):
        return text[line.begin + begin:line.begin + end]

    whole = (0, len(line.code))
    if _CONSTANT.search(line.code):
        return
    for begin, end in _negations(line):
        if _condition_is_plain(line.code[begin:end]):
            condition = source(begin, end).replace("%", "%%")
            yield "negate", begin, end, source(*whole), _ON + " != static_cast<bool>(" + condition + ")"
    # The last break of a switch changes nothing.
    last_break = line.code == "break;" and following is not None and following.code == "}" and \
        re.search(r"\bswitch\b", line.block.head)
    if _droppable(line) and not last_break:
        statement = source(*whole)
        yield "drop", *whole, statement, "{ if (!" + _ON + ") { " + statement.replace("%", "%%") + " } }"
        if following is not None and following.indent == line.indent and following.block is line.block and \
                _droppable(following) and not line.is_body and not following.is_body and \
                not re.search(r"\b(break|continue);", line.code + following.code) and \
                not _independent(line.code, following.code):
            second = text[following.begin:following.begin + len(following.code)]
            end = following.begin - line.begin + len(following.code)
            orders = "{ %s %s } else { %s %s }" % (second, statement, statement, second)
            yield ("swap", 0, end, statement + " " + second,
                   "if (" + _ON + ") " + orders.replace("%", "%%") +
                   "\n" * text.count("\n", line.begin, line.begin + end))
    if line.is_statement and line.begins_statement and not line.is_body and \
            not re.match(r"(co_)?return\b|case\b|default\b|break\b", line.code):
        ending = _how_to_return(line)
        if ending and _is_coroutine(line, code) == ending.startswith("co_"):
            yield "return", 0, 0, ending + " " + source(*whole), "if (" + _ON + ") " + ending + " "
    for found in _RELATION.finditer(line.code):
        begin_a, end_a = _trim(line.code, *found.span("a"), True)
        begin_b, end_b = _trim(line.code, *found.span("b"), False)
        a, b = source(begin_a, end_a), source(begin_b, end_b)
        if a and b and not re.search(r"\bco_await\b", line.code) and _BEFORE_RELATION.search(line.code[:begin_a]) and \
                _AFTER_RELATION.match(line.code[end_b:]):
            replacement = "(%s ? %s %s %s : %s %s %s)" % (_ON, a, _OTHER[found.group("op")], b, a, found.group("op"), b)
            yield "bound", begin_a, end_b, "%s in %s" % (source(begin_a, end_b), source(*whole)), replacement
    for found in _ONE_MORE.finditer(line.code):
        begin, end = found.span(1)
        yield "bound", begin, end, "%s in %s" % (found.group().strip(), source(*whole)), "(" + _ON + " ? 0 : 1)"


def sites(path, text):
    """Every defect that may be put into the source `text` of the file `path`."""
    code = code_only(text)
    lines = _lines(text, code)
    found, seen = [], {}
    for i, line in enumerate(lines):
        following = lines[i + 1] if i + 1 < len(lines) else None
        for rule, begin, end, what, replacement in _sites_of_line(path, text, code, line, following):
            site = Site(path, text, rule, line.begin + begin, line.begin + end, re.sub(r"\s+", " ", what), replacement)
            # Where it stands in the file does not matter; the second of its kind is the second.
            key = "%s: %s: %s" % (path, rule, site.what)
            seen[key] = seen.get(key, 0) + 1
            site.key = key if seen[key] == 1 else "%s (%d)" % (key, seen[key])
            site.number = int.from_bytes(hashlib.sha256(site.key.encode()).digest()[:3], "big") or 1
            found.append(site)
    return found


def instrumented(text, drawn):
    """`text` with all of these in it, each behind its switch."""
    for site in sorted(drawn, key=lambda site: site.begin, reverse=True):
        text = text[:site.begin] + site.replacement % site.number + text[site.end:]
    return text


def draw(all_sites, count, seed):
    """`count` of them, or as many as there are: by rules in turn, at most one on a line, and no number twice.

    What is drawn stays drawn when there are others more or fewer, and a smaller count gives the first of a larger.
    """
    def lot(site):
        return hashlib.sha256(("%d %s" % (seed, site.key)).encode()).digest()

    by_rule = {rule: sorted((site for site in all_sites if site.rule == rule), key=lot) for rule in RULES}
    drawn, taken, numbers = [], set(), set()
    while len(drawn) < count and any(by_rule.values()):
        for rule in RULES:
            while by_rule[rule] and len(drawn) < count:
                site = by_rule[rule].pop()
                lines = {(site.path, line) for line in range(site.line, site.last_line + 1)}
                if lines & taken or site.number in numbers:
                    continue
                taken |= lines
                numbers.add(site.number)
                drawn.append(site)
                break
    return drawn
