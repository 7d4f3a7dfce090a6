#include "gateway/cli/detail/declare.hpp"

#include <CLI/CLI.hpp>

#include "gateway/cli/versions.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli::detail {
namespace {

/// An option that may be given several times, one value each: what follows the value is not its own.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& description) {
    CLI::Option* option = app.add_option(name, values, description);
    option->allow_extra_args(false);
    option->group("Filters");
    return option;
}

CLI::Option* add_text(CLI::App& app, const std::string& name, std::optional<std::string>& value,
                      const std::string& description) {
    return app
        .add_option_function<std::string>(
            name, [&value](const std::string& text) { value = text; }, description)
        ->group("Filters");
}

}  // namespace

void add_filter_options(CLI::App& app, FilterArguments& arguments, Ids ids) {
    if (ids == Ids::yes) {
        app.add_option("ID", arguments.ids, "messages, by id");
    }
    app.add_flag("--all", arguments.all, "every message")->group("Filters");
    add_list(app, "--backend", arguments.backends, "recipients of this backend")->type_name("NAME");
    add_list(app, "--domain", arguments.domains, "recipients in this domain; a glob")->type_name("GLOB");
    add_list(app, "--recipient", arguments.recipients, "recipients with this address; a glob: '*@example.com'")
        ->type_name("GLOB");
    add_list(app, "--sender", arguments.senders, "messages from this address; a glob; '<>' is the null sender")
        ->type_name("GLOB");
    add_list(app, "--client", arguments.clients, "messages from this IP address or network")
        ->type_name("ADDRESS[/BITS]");
    add_list(app, "--state", arguments.states, "recipients that are ready, waiting, unknown, held or parked")
        ->delimiter(',')
        ->type_name("STATE");
    add_text(app, "--older-than", arguments.older_than, "messages accepted longer ago: 30s, 5m, 4h, 5d")
        ->type_name("SPAN");
    add_text(app, "--younger-than", arguments.younger_than, "messages accepted since")->type_name("SPAN");
    add_text(app, "--reply", arguments.reply, "recipients whose last reply holds this text")->type_name("TEXT");
    add_text(app, "--limit", arguments.limit, "at most so many messages, the oldest first")->type_name("NUMBER");
}

void add_json_flag(CLI::App& app, bool& json) { app.add_flag("--json", json, "print JSON"); }

int fail(const Invocation& invocation, const control::Failure& failure) {
    invocation.complain(mail::printable(failure.text, 16384));
    return exit_status(failure.kind);
}

int fail_usage(const Invocation& invocation, const std::string& text) {
    invocation.complain(text);
    return exit_usage;
}

/// A mistake in the file is no reason not to ask the gateway that runs on what stood there before.
int with_running_gateway(const Invocation& invocation, const config::Loaded& loaded,
                         const std::function<int(control::Operations&)>& use) {
    if (!loaded.control_socket.empty()) {
        control::ConnectOptions options;
        options.socket = loaded.control_socket;
        options.only_running = true;
        const auto operations = invocation.context.connect(options, invocation.context.clock);
        if (operations) {
            invocation.complain(
                fmt::format("the configuration file has errors (`postern check` tells them); asking the "
                            "gateway that runs at {}",
                            mail::printable(loaded.control_socket.string())));
            return use(**operations);
        }
    }
    invocation.complain(loaded.problems);
    return exit_config;
}

int with_operations(const Invocation& invocation, const std::function<int(control::Operations&)>& use) {
    const config::Loaded loaded = invocation.context.load_config(invocation.config_file);
    const auto& config = loaded.config;
    if (!config) {
        return with_running_gateway(invocation, loaded, use);
    }
    const auto reporter =
        invocation.context.make_reporter ? invocation.context.make_reporter(config, invocation.context.clock) : nullptr;
    control::ConnectOptions options;
    options.queue.reporter = reporter.get();
    options.socket = config->control.socket;
    options.queue.path = config->queue.path;
    options.queue.minimum_free_disk = config->queue.minimum_free_disk;
    options.queue.maximum_messages = config->queue.maximum_messages;
    options.queue.history = config->queue.history;
    options.version = version();
    for (const auto& [name, backend] : config->backends) {
        control::BackendStatus& known = options.backends.emplace_back();
        known.name = name;
        for (const config::Address& address : backend.endpoints) {
            control::EndpointStatus& endpoint = known.endpoints.emplace_back();
            endpoint.address = address.to_string();
            endpoint.state = "unknown";
            endpoint.connections = backend.connections;
        }
    }
    options.notice = [&invocation](const std::string& text) { invocation.complain(text); };
    auto operations = invocation.context.connect(options, invocation.context.clock);
    if (!operations) {
        return fail(invocation, operations.error());
    }
    return use(**operations);
}

}  // namespace postern::cli::detail
