// The same for tests. (precompiled.bzl)
#include "bazel/precompiled.h"

#include <gtest/gtest.h>
