"""The compiler of this configuration, for tests that compile sources.

It is known from what //tests/compile_fail:compile_command.bzl writes.
"""
import json
import os
import re
import subprocess


class Compiler:
    """Compiles without making anything, with the flags of a target of this configuration and some more."""

    def __init__(self, command_file, *flags, before=()):
        with open(command_file, encoding="utf-8") as file:
            command = json.load(file)
        # Runfiles have external repositories beside the workspace, not in it.
        command = [re.sub(r"^(-I|-iquote|-isystem)?external/", r"\1../", word) for word in command]
        self._command = [*command[:1], *before, *command[1:], "-fsyntax-only", "-fno-color-diagnostics", "-Iinclude",
                         *flags]

    def header(self, name):
        """The file that an #include of `name` finds."""
        for word, following in zip(self._command, self._command[1:]):
            directory = following if word in ("-iquote", "-isystem") else word[2:] if word.startswith("-I") else None
            if directory is not None and os.path.exists(os.path.join(directory, name)):
                return os.path.join(directory, name)
        raise FileNotFoundError(name)

    def said(self, *args, text=None):
        """What the compiler says, empty if it is content. `text` is compiled in place of a file."""
        source = ["-x", "c++", "-"] if text is not None else []
        done = subprocess.run(self._command + list(args) + source, input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout or ("" if done.returncode == 0 else "status %d" % done.returncode)
