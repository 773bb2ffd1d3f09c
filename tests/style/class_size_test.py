"""Goal: no class has so much in it that a second one is hidden there.

Method: the checks of class_size.py over the source tree, and before that over a made-up tree, so that a check which
has gone blind fails.
"""
import os
import tempfile
import unittest

from tests.style import class_size

# As in include_graph_test.py.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath("bazel/layers.bzl")))


def _tree(test, header):
    directory = tempfile.TemporaryDirectory()
    test.addCleanup(directory.cleanup)
    for top in ("include/weft", "lib/base"):
        os.makedirs(os.path.join(directory.name, top))
    with open(os.path.join(directory.name, "lib/base/a.h"), "w", encoding="utf-8") as file:
        file.write(header)
    return directory.name


class ClassSizeTest(unittest.TestCase):
    maxDiff = None

    def test_members_and_functions_are_counted(self):
        header = """
            namespace weft {
            class A {
             public:
              A();
              A(const A&) = delete;
              ~A() = default;
              void F() {}
              template <class T>
              void G(T);
              static void H();
              operator bool() const;
              friend void I(A&);

             private:
              struct Inner {
                int x, y;
              };
              int a, b;
              static int c;
              union {
                int d;
                char e;
              };
              void (*row)(int);
            };
            template <class T>
            struct B {
              T value;
              T Get();
            };
            class C;
            }"""
        self.assertEqual(class_size.classes(_tree(self, header)),
                         {"weft::A": (3, 5), "weft::A::Inner": (2, 0), "weft::B": (1, 1)})

    def test_too_large_a_class_is_found(self):
        header = "namespace weft {\nstruct A {%s %s};\n}\n" % (
            "".join("int m%d; " % number for number in range(class_size.MAX_MEMBERS + 1)),
            "".join("void F%d(); " % number for number in range(class_size.MAX_FUNCTIONS + 1)))
        self.assertEqual(list(class_size.too_large(_tree(self, header))), [
            "weft::A has %d members, more than %d" % (class_size.MAX_MEMBERS + 1, class_size.MAX_MEMBERS),
            "weft::A has %d functions, more than %d" % (class_size.MAX_FUNCTIONS + 1, class_size.MAX_FUNCTIONS),
        ])

    def test_a_header_that_does_not_compile_is_no_small_one(self):
        with self.assertRaises(RuntimeError):
            class_size.classes(_tree(self, "namespace weft { class A { int; "))

    def test_no_class_is_too_large(self):
        self.assertEqual(list(class_size.too_large(_ROOT)), [])

    def test_those_that_may_be_larger_are(self):
        found = class_size.classes(_ROOT)
        self.assertEqual({name: found[name][1] for name in class_size.LARGER}, class_size.LARGER)


if __name__ == "__main__":
    unittest.main()
