"""The headers that nearly every source includes and nobody here changes, compiled once a configuration.

They are four fifths of what compiling a source of Weft's takes. --define=precompiled=1 turns it on. (.bazelrc) The
default configuration goes without, so that a source which includes too little is found there.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _precompiled_header_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    context = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps]).compilation_context
    precompiled = ctx.actions.declare_file(ctx.label.name + ".pch")
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = ctx.file.hdr.path,
        output_file = precompiled.path,
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        system_include_directories = context.system_includes,
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + ctx.attr.copts,
        use_pic = ctx.var["COMPILATION_MODE"] != "opt",  # as Bazel compiles what goes into programs
    )
    ctx.actions.run(
        executable = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
        ),
        # Without the times of the headers, which are not the same on every machine.
        arguments = ["-Xclang", "-fno-pch-timestamp", "-x", "c++-header"] +
                    cc_common.get_memory_inefficient_command_line(
                        feature_configuration = features,
                        action_name = CPP_COMPILE_ACTION_NAME,
                        variables = variables,
                    ),
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
            variables = variables,
        ),
        inputs = depset([ctx.file.hdr], transitive = [context.headers, toolchain.all_files]),
        outputs = [precompiled],
        mnemonic = "CppPrecompile",
        # It names the headers by where they lie on this machine, which is not in a sandbox, nor where another copy of
        # the repository has them.
        execution_requirements = {"no-cache": "1", "no-sandbox": "1"},
        progress_message = "Precompiling " + ctx.file.hdr.short_path,
    )
    return [DefaultInfo(files = depset([precompiled]))]

precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = {
        "hdr": attr.label(allow_single_file = [".h"], mandatory = True),
        "copts": attr.string_list(),
        "deps": attr.label_list(providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    fragments = ["cpp"],
)
