"""An archive as another build system makes it: one file, of which the linker takes what is referred to."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _plain_archive_impl(ctx):
    objects = []
    for linked in ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list():
        if linked.owner.workspace_name == ctx.attr.library.label.workspace_name:
            for library in linked.libraries:
                objects += library.pic_objects or library.objects
    archive = ctx.actions.declare_file("lib%s.a" % ctx.label.name)

    # q and not r: objects of one name, in different directories, are all kept.
    ctx.actions.run(
        executable = find_cpp_toolchain(ctx).ar_executable,
        arguments = [ctx.actions.args().add("qcs").add(archive).add_all(objects)],
        inputs = objects,
        outputs = [archive],
        mnemonic = "PlainArchive",
    )
    return [DefaultInfo(files = depset([archive]))]

plain_archive = rule(
    implementation = _plain_archive_impl,
    attrs = {
        "library": attr.label(
            doc = "with what it depends on in its own workspace",
            providers = [CcInfo],
        ),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
