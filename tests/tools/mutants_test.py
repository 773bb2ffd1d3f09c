"""Goal: tools/mutants draws what its rules say and nothing else, a defect that is off changes nothing and one that is
on does, and the tree is only read.

Method: a small source with one place for each rule; it is compiled by the tool's own build, in a tree of its own, with
the compiler of this configuration. The list of defects that nothing has to notice is held against the sources as they
are.

    mutants_test.py COMMAND.json
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

from tools.mutation import sites, unnoticed
from tools.mutation.build import Build, CompileError
from tools.mutation.experiment import component_of, run

# A link in the runfiles, whose end lies in the source tree.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))

_HEADER = """\
#ifndef A_H_
#define A_H_
inline int Clamp(int value) {
  if (value > 9) return 9;  // if (never) {
  return value;
}
#endif
"""
_SOURCE = """\
#include "a.h"

#include <cstdio>

namespace {

constexpr int kLimit = 1 + 1;  // a constant
int total = 0;
int last_ = 0;
int inside = 0;

struct Guard {
  explicit Guard(int& count) : count_(count) { ++count_; }
  ~Guard() { --count_; }
  int& count_;
};

void Add(int value) {
  Guard guard(inside);
  total += value;
  last_ = total * 10 - 1;
  std::printf("added ; %d\\n", value);
}

bool IsEven(int value) {
  return value % 2 == 0;
}

}  // namespace

int main() {
  for (int i = 0; i < kLimit; ++i) {
    Add(i);
  }
  if (IsEven(total)) std::printf("even\\n");
  std::printf("%d %d %d\\n", total, last_, Clamp(10));
}
"""


def _all(text=_SOURCE, path="lib/a.cc"):
    return sites.sites(path, text)


def _found(text, rule):
    return [site.what for site in _all(text) if site.rule == rule]


def _in_function(*lines):
    return "void F() {\n" + "".join("  %s\n" % line for line in lines) + "}\n"


_MANY = _in_function(*(line % i for i in range(40) for line in ("a = F(%d);", "if (a < %d) return;", "G(%d);")))


class RulesTest(unittest.TestCase):

    def test_what_is_drawn_from_a_source(self):
        self.assertEqual(sorted((site.line, site.rule, site.what) for site in _all()), sorted([
            (19, "return", "return; Guard guard(inside);"),
            (20, "drop", "total += value;"),
            (20, "return", "return; total += value;"),
            (20, "swap", "total += value; last_ = total * 10 - 1;"),
            (21, "bound", "- 1 in last_ = total * 10 - 1;"),
            (21, "drop", "last_ = total * 10 - 1;"),
            (21, "return", "return; last_ = total * 10 - 1;"),
            (21, "swap", 'last_ = total * 10 - 1; std::printf("added ; %d\\n", value);'),
            (22, "drop", 'std::printf("added ; %d\\n", value);'),
            (22, "return", 'return; std::printf("added ; %d\\n", value);'),
            (26, "negate", "return value % 2 == 0;"),
            (32, "bound", "i < kLimit in for (int i = 0; i < kLimit; ++i) {"),
            (32, "negate", "for (int i = 0; i < kLimit; ++i) {"),
            (33, "drop", "Add(i);"),
            (35, "negate", 'if (IsEven(total)) std::printf("even\\n");'),
            (36, "drop", 'std::printf("%d %d %d\\n", total, last_, Clamp(10));'),
        ]))

    def test_a_declaration_is_not_dropped(self):
        for line in ("Guard guard(x);", "const int a = F();", "auto b = F();", "std::lock_guard lock(m);", "int c;",
                     "T* d = F();",
                     "return F();", "static_cast<void>(x);", "using A = B;"):
            self.assertEqual(_found(_in_function(line), "drop"), [], line)

    def test_a_statement_that_does_something_is(self):
        for line in ("F();", "a.b(c);", "a->b()->c(d);", "++a;", "a--;", "*a = b;", "a[0] |= b;", "delete a;",
                     "a::b<C>(d);",
                     "co_await a.b();", "CHECK(a) << b;"):
            self.assertEqual(_found(_in_function(line), "drop"), [line])

    def test_of_a_switch_the_last_break_is_not_dropped(self):
        text = _in_function("switch (a) {", "  case 1:", "    F();", "    break;", "  case 2:", "    break;", "}")
        self.assertEqual([site.line for site in _all(text) if site.what == "break;"], [5])
        self.assertEqual(_found(_in_function("for (;;) {", "  if (a) {", "    break;", "  }", "}"), "drop"), ["break;"])

    def test_the_only_statement_of_an_if_stays_under_it(self):
        text = _in_function("if (a)", "  F();", "else", "  G();")
        drawn = [site for site in _all(text) if site.rule == "drop"]
        self.assertEqual(len(drawn), 2)
        self.assertIn("if (a)\n    { if (!weft_mutant::On(", sites.instrumented(text, drawn))
        self.assertEqual(_found(text, "return"), [])

    def test_nothing_outside_functions_in_comments_in_literals_or_in_constants(self):
        text = ("int a = 1 + 1;\nclass A {\n  int b = 1 + 1;\n  void F();\n  G();\n};\nenum { kC = 1 + 1 };\n"
                "void H() {\n  // F();\n  /* F();\n     F(); */\n  const char* d = \"if (a) { F(); }\";\n"
                "  constexpr bool e = 1 < 2;\n  static_assert(1 < 2);\n  if constexpr (1 < 2) {\n  }\n"
                "  const char f = ';';\n  int g = 10'000'000;\n}\n"
                "#define X if (a) \\\n  F();\ntemplate <class T> concept C = 1 < 2;\n")
        self.assertEqual([site for site in _all(text) if site.rule not in ("return",)], [])

    def test_a_condition_with_a_declaration_is_negated_behind_it(self):
        text = _in_function("if (int s = F(); s != 0) return;")
        (site,) = [site for site in _all(text) if site.rule == "negate"]
        self.assertEqual(sites.instrumented(text, [site]).splitlines()[1],
                         "  if (int s = F(); weft_mutant::On(%d) != static_cast<bool>(s != 0)) return;" % site.number)
        self.assertEqual(_found(_in_function("if (T* t = F()) G();"), "negate"), [])

    def test_both_sides_of_a_comparison_stay_whole(self):
        for comparison in ("a < b", "-a < b", "a - b >= c", "a < b + c * d", "f(a) + c > d(e)", "a[i] <= b->c"):
            (site,) = [site for site in _all(_in_function("if (x && %s) F();" % comparison)) if site.rule == "bound"]
            self.assertEqual(site.what, "%s in if (x && %s) F();" % (comparison, comparison))
        for comparison in ("++a >= b", "!a < b", "a < std::min(b, c)", "a == b < c", "a << b < c", "a < b << c",
                           "F(a, b) + c > d"):
            self.assertEqual(_found(_in_function("if (%s) F();" % comparison), "bound"), [], comparison)

    def test_functions_end_early_by_what_they_return(self):
        for head, ending in (("void F()", "return;"), ("void A::F() const noexcept", "return;"),
                             ("Task<void> F()", "co_return;")):
            self.assertTrue(all(what.startswith(ending)
                                for what in _found(head + " {\n  co_await G();\n}\n" if "Task" in head else
                                                                         head + " {\n  G();\n}\n", "return")))
        self.assertEqual(len(_found("Task<void> F() {\n  G();\n}\n", "return")), 0)  # no coroutine
        self.assertEqual(len(_found("int F() {\n  G();\n}\n", "return")), 0)
        self.assertEqual(len(_found("bool F() {\n  G();\n}\n", "return")), 1)
        self.assertEqual(len(_found("[[noreturn]] void F() {\n  G();\n}\n", "return")), 0)

    def test_statements_that_have_nothing_to_do_with_each_other_are_not_swapped(self):
        self.assertEqual(_found(_in_function("a = 1;", "b = 2;"), "swap"), [])
        self.assertEqual(_found(_in_function("a = 1;", "b = a;"), "swap"), ["a = 1; b = a;"])
        self.assertEqual(_found(_in_function("a_ = 1;", "F();"), "swap"), ["a_ = 1; F();"])
        for own in ("a = 1;", "++a;", "a += b;"):
            self.assertEqual(_found(_in_function(own, "F();"), "swap"), [], own)
        self.assertEqual(_found(_in_function("++a;", "F(a);"), "swap"), ["++a; F(a);"])
        self.assertEqual(_found(_in_function("a = G();", "F();"), "swap"), ["a = G(); F();"])

    def test_lines_stay_where_they_are(self):
        text = sites.instrumented(_SOURCE, sites.draw(_all(), 100, 1))
        self.assertEqual(text.count("\n"), _SOURCE.count("\n"))
        self.assertEqual(text.splitlines().index("int main() {"), _SOURCE.splitlines().index("int main() {"))

    def test_keys_and_numbers_outlive_that_lines_move(self):
        moved = "// One more.\n\n" + _SOURCE.replace("bool IsEven", "\n\nbool IsEven")
        self.assertEqual([(site.key, site.number) for site in _all(moved)],
                         [(site.key, site.number) for site in _all()])

    def test_the_second_of_a_kind_is_the_second(self):
        keys = [site.key for site in _all(_in_function("F();", "G();", "F();")) if site.rule == "drop"]
        self.assertEqual(keys, ["lib/a.cc: drop: F();", "lib/a.cc: drop: G();", "lib/a.cc: drop: F(); (2)"])

    def test_a_seed_draws_the_same_and_no_line_twice(self):
        first, again = [[site.key for site in sites.draw(_all(), 5, 7)] for _ in range(2)]
        self.assertEqual(first, again)
        drawn = sites.draw(_all(_MANY), 100, 1)
        lines = [line for site in drawn for line in range(site.line, site.last_line + 1)]
        self.assertEqual(len(lines), len(set(lines)))
        self.assertEqual({site.rule for site in drawn}, set(sites.RULES))

    def test_what_is_drawn_stays_drawn(self):
        def keys(all_sites, count, seed):
            return [site.key for site in sites.draw(all_sites, count, seed)]

        drawn = keys(_all(_MANY), 20, 1)
        self.assertEqual(len(drawn), 20)
        self.assertEqual(keys(_all(_MANY), 5, 1), drawn[:5])
        self.assertNotEqual(keys(_all(_MANY), 20, 2), drawn)
        # Without one of them; another comes in its place, and may want a line that one of the others had.
        for key in drawn:
            self.assertLessEqual(len(set(drawn) - set(keys([site for site in _all(_MANY) if site.key != key], 20, 1))),
                                 4)


class BuildTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = os.path.join(directory.name, "tree")
        self._write("include/a.h", _HEADER)
        self._write("lib/a.cc", _SOURCE)
        with open(COMMAND, encoding="utf-8") as file:
            compiler = json.load(file)[0]
        self.build = Build(self.root, os.path.join(directory.name, "scratch"), self.root)
        compile_ = [compiler, "-std=c++20", "-Iinclude", "-Werror", "-Wall", "-c", "lib/a.cc", "-o", "a.o", "-MF",
                    "a.d", "-MD"]
        self.object = self.build.add_object(compile_, ["lib/a.cc", "include/a.h"])
        self.build.add_test("a_test", [compiler, "-o", "a_test", "a.o", "-lstdc++"])

    def _write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def _tree(self):
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    found[os.path.join(directory, name)] = (file.read(),
                                                            os.stat(os.path.join(directory, name)).st_mtime_ns)
        return found

    def _output(self, program, number):
        return subprocess.run([program], env={"WEFT_MUTANT": str(number)}, stdout=subprocess.PIPE, text=True,
                              timeout=60,
                              check=False).stdout

    def test_off_it_changes_nothing_on_it_does_and_the_tree_is_only_read(self):
        before = self._tree()
        drawn = sites.draw(_all() + sites.sites("include/a.h", _HEADER), 100, 1)
        self.assertIn("include/a.h", {site.path for site in drawn})
        self.build.show({path: sites.instrumented(text, [site for site in drawn if site.path == path])
                         for path, text in (("lib/a.cc", _SOURCE), ("include/a.h", _HEADER))})
        program = self.build.link(self.build.tests["a_test"])
        plain = "added ; 0\nadded ; 1\n1 9 9\n"
        self.assertEqual(self._output(program, 0), plain)
        for site in drawn:
            if site.what.startswith(("value > 9", "last_ = total * 10 - 1; std")):
                continue  # 9 is 9, and last_ is not printed there
            self.assertNotEqual(self._output(program, site.number), plain, site)
        self.assertEqual(self._tree(), before)

    def test_what_was_compiled_with_the_same_text_is_not_compiled_again(self):
        self.build.show({"lib/a.cc": _SOURCE + "// 1\n"})
        first = self.build.object(self.object)
        made = os.stat(first).st_mtime_ns
        self.build.show({"lib/a.cc": _SOURCE + "// 2\n"})
        self.assertNotEqual(self.build.object(self.object), first)
        self.build.show({"lib/a.cc": _SOURCE + "// 1\n"})
        self.assertEqual((self.build.object(self.object), os.stat(first).st_mtime_ns), (first, made))

    def test_the_digest_of_a_test_is_that_of_all_its_sources(self):
        tests = self.build.tests.values()
        before = self.build.digest(tests)
        self.build.show({"lib/a.cc": _SOURCE + "// 1\n"})
        self.assertEqual(self.build.digest(tests), before)  # that of the tree
        self._write("include/a.h", _HEADER + "// 1\n")
        self.assertEqual(self.build.digest(tests), before)  # read once
        again = Build(self.root, self.build.scratch, self.root)
        again.add_object(self.object.arguments, ["lib/a.cc", "include/a.h"])
        again.add_test("a_test", self.build.tests["a_test"].arguments)
        self.assertNotEqual(again.digest(again.tests.values()), before)

    def test_what_does_not_compile_is_named(self):
        self.build.show({"include/a.h": _HEADER.replace("return 9;", "return no;")})
        with self.assertRaises(CompileError) as error:
            self.build.object(self.object)
        self.assertEqual(error.exception.places, {("include/a.h", 4)})

    def test_it_is_named_also_where_the_compiler_is_asked_for_colours(self):
        self.object.arguments.append("-fcolor-diagnostics")
        self.test_what_does_not_compile_is_named()


class RunTest(unittest.TestCase):

    def _run(self, script, timeout=60):
        with tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False) as file:
            file.write("#!/bin/bash\n" + script + "\n")
        self.addCleanup(os.unlink, file.name)
        os.chmod(file.name, 0o700)
        return run(file.name, 3, timeout)

    def test_what_becomes_of_a_test(self):
        self.assertEqual(self._run("exit 0")[0], "passed")
        self.assertEqual(self._run("exit 1")[0], "failed")
        self.assertEqual(self._run("kill -SEGV $$")[0], "ended by signal 11")
        self.assertEqual(self._run('test "$WEFT_MUTANT" = 3')[0], "passed")

    def test_a_hang_is_noticed_whether_it_says_something_or_has_closed_its_output(self):
        for script in ("sleep 100", "while :; do echo x; done", "exec >&- 2>&-; sleep 100", "sleep 100 & wait"):
            begin = time.monotonic()
            self.assertEqual(self._run(script, timeout=1)[0], "hung", script)
            self.assertLess(time.monotonic() - begin, 50)

    def test_of_its_output_the_end_is_kept(self):
        how, _, output = self._run("head -c 10000000 /dev/zero; echo end")
        self.assertEqual(how, "passed")
        self.assertLessEqual(len(output), 4096)
        self.assertTrue(output.endswith("end\n"))


class ListTest(unittest.TestCase):

    def test_a_key_has_a_reason(self):
        self.assertEqual(unnoticed.parse("# c\na: drop: b();\n    Because\n    of c.\n\nd: e\n    f\n"),
                         {"a: drop: b();": "Because of c.", "d: e": "f"})
        for text in ("a: drop: b();\n", "a: b\n    c\na: b\n    c\n", "    c\n"):
            with self.assertRaises(ValueError):
                unnoticed.parse(text)

    def test_every_key_is_of_something_in_the_sources(self):
        stale = []
        for key in unnoticed.read():
            path = key.split(":", 1)[0]
            with open(os.path.join(_ROOT, path), encoding="utf-8") as file:
                if key not in {site.key for site in sites.sites(path, file.read())}:
                    stale.append(key)
        self.assertEqual(stale, [])

    def test_the_nearest_tests(self):
        for path, component in (("lib/scope/child.cc", "scope"), ("lib/driver/epoll/epoll_driver.cc", "driver"),
                                ("lib/testing/model/memory.cc", "model"), ("include/weft/sync/mutex.h", "sync"),
                                ("include/weft/all.h", "scope"), ("include/weft/net/tcp_stream.h", "net")):
            self.assertEqual(component_of(_ROOT, path), component, path)


if __name__ == "__main__":
    COMMAND = os.path.realpath(sys.argv.pop(1))
    unittest.main()
