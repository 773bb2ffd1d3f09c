#!/usr/bin/env bash
# Goal: a compiler that Weft cannot be trusted with gets a sentence that says why and what to use instead.
# Method: the preprocessor of clang plays the others by their macros, so that no other compiler has to be installed.
set -u
header=include/weft/internal/compiler.h
failed=0

# preprocess FLAGS...: what the compiler says of the header.
preprocess() { clang-19 -x c++ -E "$@" -o /dev/null "$header" 2>&1; }

# refuses NAME SENTENCE FLAGS...: the header stops the compiler, and the sentence is in what it prints.
refuses() {
  local name=$1 sentence=$2 said
  shift 2
  if said=$(preprocess "$@"); then
    echo "FAILED: $name is accepted"
    failed=1
  elif [[ $said != *"$sentence"* ]]; then
    echo "FAILED: $name is not told '$sentence' but: $said"
    failed=1
  fi
}

refuses "GCC" "GCC 12 miscompiles ordinary coroutines" -std=c++20 -U__clang__
refuses "GCC" "clang 19 or newer" -std=c++20 -U__clang__
refuses "clang 18" "clang 19 or newer" -std=c++20 -U__clang_major__ -D__clang_major__=18
refuses "a compiler that is neither" "clang 19 or newer" -std=c++20 -U__clang__ -U__GNUC__
refuses "C++17" "C++20" -std=c++17

if ! said=$(preprocess -std=c++20); then
  echo "FAILED: clang 19 is refused: $said"
  failed=1
fi
exit $failed
