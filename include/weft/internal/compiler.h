// Which compilers Weft can be trusted with, and how they are to be called. Every header includes this one before
// anything else, so that a compiler that is refused says so first, and says nothing else.
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
// A compiler goes on behind an #error, with all that it has to say of what it cannot read. Here it ends.
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

// Before a function that a fast path calls once in a while: it preserves all registers but those that it returns a
// value in, so that its caller need not save any for the case that it is called. Called from Weft's own sources only,
// which are compiled with -fno-plt (bazel/weft.bzl): what binds a call at its first use preserves less.
#define WEFT_RARE __attribute__((cold, noinline, preserve_most))

#endif  // WEFT_INTERNAL_COMPILER_H_
