"""Reads how large the classes of lib/ and include/ are, by the compiler's own account of their headers.

The headers are compiled together, once. A class that only a source has is not seen.
"""
import json
import os
import re
import subprocess

MAX_MEMBERS = 30
MAX_FUNCTIONS = 25
# Larger, with its number of functions and the reason.
LARGER = {
    # One word of it is by turns the scope, the runtime or the identity, and four are by turns what a thread goes on
    # with and why it has ended. To take them out would cost each thread the bytes that this saves. (thread_block.h)
    "weft::internal::ThreadBlock": 43,
}
_TOPS = ("include", "lib")
# They need WEFT_MODEL, with which the others are different.
_OF_THE_CHECKER = ("lib/testing/model/", "include/weft/internal/model_")
_FUNCTION_POINTER = re.compile(r"\(\*|^std::add_pointer_t<.*\(.*\)>$")
_FUNCTIONS = ("CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl", "CXXConversionDecl")


def _headers(root):
    for top in _TOPS:
        for directory, directories, names in os.walk(os.path.join(root, top)):
            directories.sort()
            for name in sorted(names):
                path = os.path.relpath(os.path.join(directory, name), root)
                if name.endswith(".h") and not path.startswith(_OF_THE_CHECKER):
                    yield path


def _declarations(root):
    """What the compiler finds in a namespace weft."""
    includes = "".join('#include "%s"\n' % (path[len("include/"):] if path.startswith("include/") else path)
                       for path in _headers(root))
    done = subprocess.run(
        ["clang++-19", "-std=c++20", "-Iinclude", "-I.", "-fsyntax-only", "-Xclang", "-ast-dump=json", "-Xclang",
         "-ast-dump-filter=weft", "-x", "c++", "-"],
        cwd=root, input=includes, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError("the headers do not compile together:\n" + done.stderr)
    decoder, at = json.JSONDecoder(), 0
    while at < len(done.stdout):
        if done.stdout[at].isspace():
            at += 1
            continue
        declaration, at = decoder.raw_decode(done.stdout, at)
        yield declaration


def _is_function(declaration):
    """Is it one that somebody has written?"""
    if declaration["kind"] == "FunctionTemplateDecl":
        return any(_is_function(inner) for inner in declaration.get("inner", []))
    return declaration["kind"] in _FUNCTIONS and not (
        declaration.get("isImplicit") or declaration.get("explicitlyDeleted") or
        declaration.get("explicitlyDefaulted"))


def _members(record):
    """The members of objects. A pointer to a function is a row of a table; what is in a union has one place."""
    for inner in record.get("inner", []):
        if inner["kind"] == "FieldDecl" and inner.get("name"):
            if not _FUNCTION_POINTER.search(inner["type"]["qualType"]):
                yield inner["name"]
        elif inner["kind"] == "CXXRecordDecl" and not inner.get("name") and inner.get("completeDefinition"):
            yield from list(_members(inner))[:1 if inner.get("tagUsed") == "union" else None]


def _classes(declaration, path):
    """Every class in it, as (name, members, functions)."""
    kind, name = declaration["kind"], declaration.get("name")
    if kind == "ClassTemplateDecl":
        for inner in declaration.get("inner", []):
            if inner["kind"] == "CXXRecordDecl":
                yield from _classes(inner, path)
        return
    if kind not in ("NamespaceDecl", "CXXRecordDecl") or declaration.get("isImplicit"):
        return
    inside = path + [name] if name else path
    if kind == "CXXRecordDecl" and declaration.get("completeDefinition") and name:
        functions = sum(1 for inner in declaration.get("inner", []) if _is_function(inner))
        yield "::".join(inside), len(list(_members(declaration))), functions
    for inner in declaration.get("inner", []):
        yield from _classes(inner, inside)


def classes(root):
    """The size of every class that a header below `root` defines, as name -> (members, functions)."""
    return {name: (members, functions)
            for declaration in _declarations(root) for name, members, functions in _classes(declaration, [])}


def too_large(root):
    """Classes in which a second one is hidden."""
    for name, (members, functions) in sorted(classes(root).items()):
        if members > MAX_MEMBERS:
            yield "%s has %d members, more than %d" % (name, members, MAX_MEMBERS)
        if functions > LARGER.get(name, MAX_FUNCTIONS):
            yield "%s has %d functions, more than %d" % (name, functions, LARGER.get(name, MAX_FUNCTIONS))
