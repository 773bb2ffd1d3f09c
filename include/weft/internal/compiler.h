// Which compilers are known to compile Weft correctly, and with which options? Every header includes this one before
// anything else, so that a compiler that is refused prints that first, and nothing else.
//
// GCC 12 accepts Weft and then miscompiles the coroutines written with it. These are ordinary programs:
//   co_await Aggregate{...}                    the aggregate's members are destroyed twice
//   Aggregate a{co_await x, co_await y};       heap corruption
//   co_await x && co_await y                   never ends
//   co_await f({a, b})                         does not compile
// and deep symmetric transfer overflows the stack below -O2 and under sanitizers. A refusal is the only safe answer:
// nothing that a library can do protects the frames of its users.
#ifndef WEFT_INTERNAL_COMPILER_H_
#define WEFT_INTERNAL_COMPILER_H_

#if defined(__GNUC__) && !defined(__clang__)
#define WEFT_REFUSED
#error "Weft refuses GCC: GCC 12 miscompiles ordinary coroutines (aggregates and initializer lists inside co_await \
expressions, co_await a && co_await b). Compile with clang 19 or newer."
#elif !defined(__clang__) || __clang_major__ < 19
#define WEFT_REFUSED
#error "Weft needs clang 19 or newer: no other compiler has been tried with its coroutines."
#elif __cplusplus < 202002L
#define WEFT_REFUSED
#error "Weft needs C++20: compile with -std=c++20."
#endif

#ifdef WEFT_REFUSED
// After an #error a compiler would go on, and complain of everything that it cannot read. Here it stops.
#include "weft/the_compiler_is_refused_see_the_error_above"
#endif

// 1 where exceptions can be thrown and caught, 0 under -fno-exceptions. One program is built one way.
#if defined(__cpp_exceptions)
#define WEFT_EXCEPTIONS 1
#else
#define WEFT_EXCEPTIONS 0
#endif

// After a parameter, which `owner` keeps: clang warns if it refers to a temporary. Clang 19 does not know it.
#if __has_cpp_attribute(clang::lifetime_capture_by)
#define WEFT_LIFETIME_CAPTURE_BY(owner) [[clang::lifetime_capture_by(owner)]]
#else
#define WEFT_LIFETIME_CAPTURE_BY(owner)
#endif

// Before a function that a fast path seldom calls: the function preserves all registers except those that return its
// value, so that the fast path saves none for it. Called from Weft's own sources only, which are compiled with -fno-plt
// (bazel/weft.bzl), because lazy binding preserves fewer registers.
#define WEFT_RARE __attribute__((cold, noinline, preserve_most))

#endif  // WEFT_INTERNAL_COMPILER_H_
