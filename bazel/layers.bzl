"""The order of the components under //lib, lowest layer first.

A component may depend on its own layer and on lower ones. This list is the
only place that says so: weft_library derives each package's visibility from
it, and //tests/style holds every #include against it.
"""

LAYERS = [
    ["base"],
    ["os"],
    ["lockfree"],
    ["coro"],
    ["runtime"],
    ["scope", "executor"],
    ["sync", "channel"],
    ["io", "net", "fs"],
    ["observe"],
    ["testing"],
]

# What the order would allow, but the design does not. A lock or a channel
# knows nothing of scopes: it works the same in a thread that has none.
APART = {
    "sync": ["scope", "executor"],
    "channel": ["scope", "executor"],
}

def users_of(component):
    """Returns the components that may depend on the given one, itself included."""
    users = []
    reached = False
    for layer in LAYERS:
        reached = reached or component in layer
        if reached:
            users.extend([user for user in layer if component not in APART.get(user, [])])
    if not users:
        fail("//lib/%s has no place in the order of bazel/layers.bzl" % component)
    return users
