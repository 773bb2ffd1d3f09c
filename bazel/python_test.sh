#!/usr/bin/env bash
# Runs the Python test named by the first argument; it imports from the root of the runfiles.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD exec python3 "$@"
