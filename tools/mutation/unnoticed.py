"""The list of defects that no test can notice, or that none is asked to, with the reason for each.

    lib/sync/event.cc: swap: a(); b();
        Neither looks at what the other does.

A key is that of tools/mutants: the file, the rule and the code, so that it stays true when lines move.
"""
import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "unnoticed.txt")


def parse(text):
    """{key: reason}. ValueError for a key without a reason, or two of one name."""
    reasons, key = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] != " ":
            key = line.strip()
            if key in reasons:
                raise ValueError("it is there twice: %s" % key)
            reasons[key] = ""
        elif key is None:
            raise ValueError("a reason for nothing: %s" % line)
        else:
            reasons[key] = (reasons[key] + " " + line.strip()).strip()
    for key, reason in reasons.items():
        if not reason:
            raise ValueError("it has no reason: %s" % key)
    return reasons


def read(path=PATH):
    with open(path, encoding="utf-8") as file:
        return parse(file.read())
