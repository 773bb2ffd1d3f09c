"""How this configuration compiles a source, for rules that do so themselves, or tell others."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

# What a rule that calls cpp_command() needs beside its own.
CPP_COMMAND_ATTRS = {
    "deps": attr.label_list(
        doc = "whose headers are included",
        providers = [CcInfo],
    ),
    "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
}
CPP_COMMAND_TOOLCHAINS = ["@bazel_tools//tools/cpp:toolchain_type"]

def cpp_command(ctx, flags = [], **variables):
    """The compiler and its flags, and what it reads.

    Args:
      ctx: of a rule with the above and the fragment "cpp".
      flags: behind those of the configuration.
      **variables: as in cc_common.create_compile_variables, except for what is set here.

    Returns:
      tool, arguments, environment, and the inputs, without a source.
    """
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        # It wants to know the target of each header; here there is no target.
        unsupported_features = ctx.disabled_features + ["layering_check"],
    )
    context = cc_common.merge_cc_infos(cc_infos = [dep[CcInfo] for dep in ctx.attr.deps]).compilation_context
    of_action = {
        "feature_configuration": features,
        "action_name": CPP_COMPILE_ACTION_NAME,
        "variables": cc_common.create_compile_variables(
            feature_configuration = features,
            cc_toolchain = toolchain,
            user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + flags,
            include_directories = context.includes,
            quote_include_directories = context.quote_includes,
            system_include_directories = context.system_includes,
            preprocessor_defines = context.defines,
            **variables
        ),
    }
    return struct(
        tool = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
        ),
        arguments = cc_common.get_memory_inefficient_command_line(**of_action),
        environment = cc_common.get_environment_variables(**of_action),
        inputs = depset(transitive = [context.headers, toolchain.all_files]),
    )
