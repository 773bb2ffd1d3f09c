"""External repositories, taken from the packages that Debian installed.

Every repository is declared only where the workspace has not declared one of
that name before it, so a monorepo keeps its own Abseil, GoogleTest and so on.
The names are those the projects themselves use.
"""

load("//bazel:system_absl.bzl", "system_absl")
load("//bazel:system_liburing.bzl", "system_liburing")

_NATIVE_RULES = {
    "cc": ["cc_binary", "cc_import", "cc_library", "cc_proto_library", "cc_test", "cc_toolchain", "cc_toolchain_suite"],
    "java": ["java_binary", "java_import", "java_library", "java_runtime", "java_test", "java_toolchain"],
}

def _native_rules_impl(ctx):
    lang = ctx.attr.language
    ctx.file(lang + "/BUILD.bazel", "exports_files([\"defs.bzl\"])\n")
    ctx.file(lang + "/defs.bzl", "".join([
        "%s = native.%s\n" % (rule, rule)
        for rule in _NATIVE_RULES[lang]
    ]))

# Bazel 4 loads @rules_cc and @rules_java itself and would download both. The
# rules are still built into it, so a repository that names them is enough.
_native_rules = repository_rule(
    implementation = _native_rules_impl,
    attrs = {"language": attr.string(mandatory = True)},
)

def _no_coverage_tools_impl(ctx):
    ctx.file("BUILD.bazel", "".join([
        "filegroup(name = \"%s\", visibility = [\"//visibility:public\"])\n" % name
        for name in ["coverage_report_generator", "lcov_merger"]
    ]))

# Bazel 4 wants @remote_coverage_tools for every cc_test, coverage run or not.
_no_coverage_tools = repository_rule(implementation = _no_coverage_tools_impl)

def _maybe(rule, name, **kwargs):
    if not native.existing_rule(name):
        rule(name = name, **kwargs)

def weft_dependencies():
    """Declares what building //... needs, skipping names already declared."""
    _maybe(_native_rules, "rules_cc", language = "cc")
    _maybe(_native_rules, "rules_java", language = "java")
    _maybe(_no_coverage_tools, "remote_coverage_tools")
    _maybe(system_absl, "com_google_absl")
    _maybe(system_liburing, "liburing")
    for name, path, build_file in [
        ("com_google_googletest", "/usr", "@weft//third_party:googletest.BUILD"),
        ("com_github_google_benchmark", "/usr", "@weft//third_party:benchmark.BUILD"),
        ("openssl", "/usr", "@weft//third_party:openssl.BUILD"),
        ("llhttp", "/usr/share", "@weft//third_party:llhttp.BUILD"),
        ("nlohmann_json", "/usr", "@weft//third_party:nlohmann_json.BUILD"),
        ("postgresql", "/usr", "@weft//third_party:postgresql.BUILD"),
        ("sqlite3", "/usr", "@weft//third_party:sqlite3.BUILD"),
    ]:
        _maybe(native.new_local_repository, name, path = path, build_file = build_file)
