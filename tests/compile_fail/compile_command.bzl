"""How this configuration compiles a source, for tests that run the compiler themselves."""

load("//bazel:cpp_command.bzl", "CPP_COMMAND_ATTRS", "CPP_COMMAND_TOOLCHAINS", "cpp_command")

def _compile_command_impl(ctx):
    command = cpp_command(ctx)
    file = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(file, json.encode([command.tool] + command.arguments))
    return [DefaultInfo(
        files = depset([file]),
        runfiles = ctx.runfiles(files = [file], transitive_files = command.inputs),
    )]

compile_command = rule(
    implementation = _compile_command_impl,
    doc = """A file with the compiler and its flags, as a JSON list, and what it reads as runfiles.

The paths are those of a build: from the root of the runfiles, external/ is to be read as ../.""",
    attrs = CPP_COMMAND_ATTRS,
    fragments = ["cpp"],
    toolchains = CPP_COMMAND_TOOLCHAINS,
)
