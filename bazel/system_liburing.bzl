"""liburing as a Debian package holds it: the one that is installed, or another below WEFT_LIBURING_ROOT."""

def _system_liburing_impl(ctx):
    root = ctx.os.environ.get("WEFT_LIBURING_ROOT", "/usr")
    if not root.startswith("/"):
        root = "%s/%s" % (ctx.path(ctx.attr._workspace).dirname, root)


    # The last is the kernel's: a newer liburing wants what an older kernel's headers lack.
    for header in ["liburing", "liburing.h", "linux/blkdev.h"]:
        path = ctx.path("%s/include/%s" % (root, header))
        if path.exists:
            ctx.symlink(path, "include/" + header)
    ctx.symlink(root + "/lib", "lib")
    ctx.symlink(ctx.attr._build_file, "BUILD.bazel")

system_liburing = repository_rule(
    implementation = _system_liburing_impl,
    attrs = {
        "_build_file": attr.label(default = "@weft//third_party:liburing.BUILD"),
        "_workspace": attr.label(default = "@weft//:WORKSPACE"),
    },
    environ = ["WEFT_LIBURING_ROOT"],
    local = True,
)
