// postern check, version: what needs no queue.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/versions.hpp"

namespace postern::cli::detail {
namespace {

int check(const Invocation& invocation) {
    const config::Loaded loaded = invocation.context.load_config(invocation.config_file);
    Output& err = invocation.context.terminal.err;
    for (const config::Problem& problem : loaded.problems) {
        err.write(problem.to_string() + '\n');
    }
    for (const config::Problem& warning : loaded.warnings) {
        err.write("warning: " + warning.to_string() + '\n');
    }
    return loaded.config ? exit_done : exit_config;
}

int print_version(const Invocation& invocation, bool json) {
    const auto libraries = library_versions();
    if (json) {
        nlohmann::ordered_json object;
        object["version"] = version();
        object["revision"] = revision();
        for (const auto& [name, number] : libraries) {
            object["libraries"][name] = number;
        }
        invocation.say(object.dump());
        return exit_done;
    }
    invocation.say(fmt::format("postern {} (revision {})", version(), revision()));
    for (const auto& [name, number] : libraries) {
        invocation.say(fmt::format("{} {}", name, number));
    }
    return exit_done;
}

}  // namespace

void declare_config_commands(CLI::App& root, Invocation& invocation) {
    add_command(root, invocation, "check", "validate the configuration; prints nothing when it is good",
                [&invocation] { return check(invocation); });

    auto json = std::make_shared<bool>(false);
    CLI::App& version_app = add_command(root, invocation, "version", "the version of the program and of its libraries",
                                        [&invocation, json] { return print_version(invocation, *json); });
    add_json_flag(version_app, *json);
}

}  // namespace postern::cli::detail
