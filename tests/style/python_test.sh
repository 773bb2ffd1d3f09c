#!/usr/bin/env bash
# Runs the Python test named by the first argument. Bazel 4's py_test asks for a `python`, which Debian does not have.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD exec python3 "$@"
