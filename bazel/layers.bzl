"""The order of the components under //lib, lowest layer first.

A component may depend on its own layer and on lower ones. This list is the
only place that says so: weft_library derives each package's visibility from
it, and //tests/style holds every #include against it.
"""

LAYERS = [
    ["base"],
    ["os"],
    ["lockfree"],
    ["driver", "timer"],
    ["coro"],
    ["thread", "cancel"],
    ["runtime"],
    ["sync", "channel"],
    ["scope", "unscoped", "executor"],
    ["io"],
    ["net", "fs", "process"],
    ["tls"],
    ["observe"],
    ["testing"],
]

def users_of(component):
    """Returns the components that may depend on the given one, itself included."""
    users = []
    reached = False
    for layer in LAYERS:
        reached = reached or component in layer
        if reached:
            users.extend(layer)
    if not users:
        fail("//lib/%s has no place in the order of bazel/layers.bzl" % component)
    return users
