"""The headers that nearly every source includes and nobody here changes, compiled once a configuration.

They are four fifths of what compiling a source of Weft's takes. --define=precompiled=all turns it on, and
--define=precompiled=tests for tests alone. (.bazelrc) The library goes without in the default configuration, so that a
source which includes too little is found there.
"""

load(":cpp_command.bzl", "CPP_COMMAND_ATTRS", "CPP_COMMAND_TOOLCHAINS", "cpp_command")

def _precompiled_header_impl(ctx):
    precompiled = ctx.actions.declare_file(ctx.label.name + ".pch")
    command = cpp_command(
        ctx,
        flags = ctx.attr.copts,
        source_file = ctx.file.hdr.path,
        output_file = precompiled.path,
        use_pic = ctx.var["COMPILATION_MODE"] != "opt",  # as Bazel compiles what goes into programs
    )
    ctx.actions.run(
        executable = command.tool,
        # Without the times of the headers, which are not the same on every machine; and with the templates that they
        # use themselves, which each source would have to instantiate again: a tenth of what a test's compiling takes.
        arguments = ["-Xclang", "-fno-pch-timestamp", "-fpch-instantiate-templates", "-x", "c++-header"] +
                    command.arguments,
        env = command.environment,
        inputs = depset([ctx.file.hdr], transitive = [command.inputs]),
        outputs = [precompiled],
        mnemonic = "CppPrecompile",
        # The output names the headers by their absolute paths. Those of a sandbox are gone afterwards, and another copy
        # of the repository has other ones.
        execution_requirements = {"no-cache": "1", "no-sandbox": "1"},
        progress_message = "Precompiling " + ctx.file.hdr.short_path,
    )
    return [DefaultInfo(files = depset([precompiled]))]

precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = dict(
        CPP_COMMAND_ATTRS,
        hdr = attr.label(allow_single_file = [".h"], mandatory = True),
        copts = attr.string_list(),
    ),
    fragments = ["cpp"],
    toolchains = CPP_COMMAND_TOOLCHAINS,
)
