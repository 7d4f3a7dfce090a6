// postern check, route, version: what needs no queue.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/render.hpp"
#include "gateway/cli/versions.hpp"
#include "queue/mail/printable.hpp"
#include "queue/other_writers.hpp"

namespace postern::cli::detail {
namespace {

constexpr std::size_t fault_octets_max = 1000;

int check(const Invocation& invocation) {
    const config::Loaded loaded = invocation.context.load_config(invocation.config_file);
    Output& err = invocation.context.terminal.err;
    for (const config::Problem& problem : loaded.problems) {
        err.write(problem.to_string() + '\n');
    }
    for (const config::Problem& warning : loaded.warnings) {
        err.write("warning: " + warning.to_string() + '\n');
    }
    if (loaded.config && queue::has_wal_reset_bug(invocation.context.sqlite_version)) {
        for (const long pid : invocation.context.other_writers(loaded.config->queue.path)) {
            err.write(
                fmt::format("warning: process {} has the queue {} open for writing; with the SQLite of this machine "
                            "that can lose mail (see `postern version`)\n",
                            pid, mail::printable(loaded.config->queue.path.string())));
        }
    }
    std::vector<std::string> faults;
    if (loaded.config && invocation.context.check_files) {
        faults = invocation.context.check_files(*loaded.config, invocation.context.clock);
    }
    for (const std::string& fault : faults) {
        err.write(mail::printable(fault, fault_octets_max) + '\n');
    }
    return loaded.config && faults.empty() ? exit_done : exit_config;
}

struct RouteOptions {
    std::string address;
    bool json = false;
};

std::string json_of(const mail::Mailbox& address, const Route& route) {
    nlohmann::ordered_json object;
    object["address"] = address.to_string();
    object["rule"] = route.rule;
    object["check"] = route.check;
    object["backend"] = route.backend;
    object["endpoints"] = route.endpoints;
    return object.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

/// What becomes of mail for an address that is not ours when it may go out.
std::string way_out(const config::Config& config, const mail::Mailbox& address) {
    constexpr std::string_view who = ", but to `trusted` clients; what they send there, and reports, go to ";
    const config::Bounces& bounces = config.bounces;
    switch (bounces.way) {
        case config::Bounces::Way::mx:
            return fmt::format("{}the MX of {}, port {} (`bounces`)", who, mail::printable(address.domain()),
                               bounces.port);
        case config::Bounces::Way::relay:
            return fmt::format("{}{} (`bounces.relay`)", who, bounces.relay->to_string());
        case config::Bounces::Way::none:
            break;
    }
    return " (`bounces.relay` is none: nobody's mail goes there)";
}

int route(const Invocation& invocation, const RouteOptions& options) {
    const auto address = mail::Mailbox::parse(options.address, mail::Utf8::allowed);
    if (!address) {
        invocation.complain(fmt::format("`{}` is not an address: {}", mail::printable(options.address, 400),
                                        mail::describe(address.error())));
        return exit_data;
    }
    const auto config = invocation.load_config();
    if (!config) {
        return exit_config;
    }
    const auto found = invocation.context.find_route(*config, *address);
    if (!found) {
        invocation.complain(fmt::format("{}: no rule of `domains` covers {}: refused with 550 5.7.1{}",
                                        mail::printable(address->to_string()), mail::printable(address->domain()),
                                        way_out(*config, *address)));
        return exit_no;
    }
    invocation.context.terminal.out.write(options.json ? json_of(*address, *found) + '\n'
                                                       : render_route(address->to_string(), *found));
    return exit_done;
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
        object["warnings"] = library_warnings(invocation.context.sqlite_version);
        invocation.say(object.dump());
        return exit_done;
    }
    invocation.say(fmt::format("postern {} (revision {})", version(), revision()));
    for (const auto& [name, number] : libraries) {
        invocation.say(fmt::format("{} {}", name, number));
    }
    for (const std::string& warning : library_warnings(invocation.context.sqlite_version)) {
        invocation.say("warning: " + warning);
    }
    return exit_done;
}

}  // namespace

void declare_config_commands(CLI::App& root, Invocation& invocation) {
    add_command(root, invocation, "check", "validate the configuration; prints nothing when it is good",
                [&invocation] { return check(invocation); });

    auto route_options = std::make_shared<RouteOptions>();
    CLI::App& route_app = add_command(root, invocation, "route", "where mail for an address goes, and why",
                                      [&invocation, route_options] { return route(invocation, *route_options); });
    route_app.add_option("ADDRESS", route_options->address, "the recipient")->required();
    add_json_flag(route_app, route_options->json);

    auto json = std::make_shared<bool>(false);
    CLI::App& version_app = add_command(root, invocation, "version", "the version of the program and of its libraries",
                                        [&invocation, json] { return print_version(invocation, *json); });
    add_json_flag(version_app, *json);
}

}  // namespace postern::cli::detail
