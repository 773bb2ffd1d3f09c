"""Tells the code of a C++ file from its comments, line by line."""
import re

_RAW = re.compile(r'R"([^(\s]*)\(')


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def split(text):
    """For each line its code and its comment. Both keep their columns: the other's characters are blanks in it."""
    code, comment = [], []
    i = 0

    def take(count, into):
        nonlocal i
        for character in text[i:i + count]:
            code.append(character if into is code or character == "\n" else " ")
            comment.append(character if into is comment or character == "\n" else " ")
        i += count

    def end_of(mark, start):
        found = text.find(mark, start)
        return len(text) if found < 0 else found + len(mark)

    while i < len(text):
        if text.startswith("//", i):
            take(end_of("\n", i) - i, comment)
        elif text.startswith("/*", i):
            take(end_of("*/", i + 2) - i, comment)
        elif raw := _RAW.match(text, i):
            take(end_of(")%s\"" % raw[1], raw.end()) - i, code)
        elif text[i] == '"' or (text[i] == "'" and not text[i - 1:i].isalnum()):
            end = i + 1
            while end < len(text) and text[end] != text[i] and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            take(end + 1 - i, code)
        else:
            take(1, code)
    return list(zip("".join(code).split("\n"), "".join(comment).split("\n")))
