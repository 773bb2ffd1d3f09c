#!/usr/bin/env bash
# Goal: a compiler that Weft cannot be trusted with gets a sentence that says why and what to use instead, and says
# nothing else.
# Method: clang plays the others by their macros, so that no other compiler has to be installed. Behind the header
# stands what no compiler reads without an error. (//tests/style:include_graph_test sees that nothing is before it.)
set -u
header=include/weft/internal/compiler.h
failed=0
nonsense="this is no program; nor is this"

# compile FLAGS...: what the compiler says of the header, and of nonsense.
compile() { echo "$nonsense" | clang-19 -x c++ -fsyntax-only "$@" -include "$header" - 2>&1; }

# refuses NAME SENTENCE FLAGS...: the header stops the compiler, and the sentence is in what it prints.
refuses() {
  local name=$1 sentence=$2 said
  shift 2
  if said=$(compile "$@"); then
    echo "FAILED: $name is accepted"
    failed=1
  elif [[ $said != *"$sentence"* ]]; then
    echo "FAILED: $name is not told '$sentence' but: $said"
    failed=1
  elif [ "$(grep -c 'error:' <<<"$said")" != 2 ] || [[ ${said##*error:} != *"see_the_error_above"* ]]; then
    echo "FAILED: $name does not end at the refusal: $said"
    failed=1
  fi
}

refuses "GCC" "GCC 12 miscompiles ordinary coroutines" -std=c++20 -U__clang__
refuses "GCC" "clang 19 or newer" -std=c++20 -U__clang__
refuses "clang 18" "clang 19 or newer" -std=c++20 -U__clang_major__ -D__clang_major__=18
refuses "a compiler that is neither" "clang 19 or newer" -std=c++20 -U__clang__ -U__GNUC__
refuses "C++17" "C++20" -std=c++17

nonsense=
if ! said=$(compile -std=c++20); then
  echo "FAILED: clang 19 is refused: $said"
  failed=1
fi
exit $failed
