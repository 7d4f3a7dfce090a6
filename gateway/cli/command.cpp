#include "gateway/cli/command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <system_error>

#include <CLI/CLI.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli {
namespace {

/// "postern queue hold": the command as far as it was understood.
std::string path_of(const CLI::App& root) {
    std::string path = root.get_name();
    const CLI::App* app = &root;
    while (!app->get_subcommands().empty()) {
        app = app->get_subcommands().front();
        path += fmt::format(" {}", app->get_name());
    }
    return path;
}

int report(const CLI::App& root, const CLI::ParseError& error, const Context& context) {
    if (error.get_exit_code() == 0) {  // --help
        std::ostringstream text;
        root.exit(error, text, text);
        context.terminal.out.write(text.str());
        return exit_done;
    }
    const std::vector<std::string> rest = root.remaining(true);
    const bool is_misspelt = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !rest.empty();
    const std::string what =
        is_misspelt ? fmt::format("there is no command `{}`", mail::printable(rest.front(), 200)) : error.what();
    context.terminal.err.write(fmt::format("postern: {}\nSee `{} --help`.\n", what, path_of(root)));
    return exit_usage;
}

}  // namespace

int exit_status(control::FailureKind kind) {
    switch (kind) {
        case control::FailureKind::not_found:
            return exit_no;
        case control::FailureKind::damaged:
            return exit_data;
        case control::FailureKind::invalid:
            return exit_usage;
        case control::FailureKind::unreachable:
            return exit_unreachable;
        case control::FailureKind::busy:
            return exit_busy;
        case control::FailureKind::disk:
            break;
    }
    return exit_disk;
}

void Invocation::say(std::string_view line) const { context.terminal.out.write(fmt::format("{}\n", line)); }

void Invocation::complain(std::string_view line) const {
    context.terminal.err.write(fmt::format("postern: {}\n", line));
}

std::shared_ptr<const config::Config> Invocation::load_config() const {
    const config::Loaded loaded = context.load_config(config_file);
    complain(loaded.problems);
    return loaded.config;
}

void Invocation::complain(const std::vector<config::Problem>& problems) const {
    for (const config::Problem& problem : problems) {
        context.terminal.err.write(problem.to_string() + '\n');
    }
}

CLI::App& add_command(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& description,
                      std::function<int()> run) {
    CLI::App* app = parent.add_subcommand(name, description);
    app->add_option_function<std::string>(
           "-c,--config", [&invocation](const std::string& file) { invocation.config_file = file; },
           "configuration file (default: $POSTERN_CONFIG, or /etc/postern/postern.yaml)")
        ->type_name("FILE");
    app->callback([&invocation, chosen = std::move(run)] { invocation.chosen = chosen; });
    return *app;
}

CLI::App& command_group(CLI::App& parent, const std::string& name, const std::string& description) {
    for (CLI::App* there : parent.get_subcommands([&name](const CLI::App* app) { return app->get_name() == name; })) {
        return *there;
    }
    CLI::App* group = parent.add_subcommand(name, description);
    group->require_subcommand(1);
    return *group;
}

int run(const std::vector<std::string>& arguments, Context& context, const std::vector<Declare>& others) {
    Invocation invocation(context);
    CLI::App root("Postern, a mail gateway: SMTP in, a durable queue, LMTP out.", "postern");
    root.require_subcommand(1);
    for (const Declare& declare : others) {
        declare(root, invocation);
    }
    detail::declare_config_commands(root, invocation);
    detail::declare_queue_commands(root, invocation);
    detail::declare_backend_commands(root, invocation);
    detail::declare_gateway_commands(root, invocation);
    try {
        std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
        root.parse(std::move(reversed));
    } catch (const CLI::ParseError& error) {
        return report(root, error, context);
    }
    return invocation.chosen ? invocation.chosen() : exit_usage;
}

int main(int count, char** arguments, const std::vector<Declare>& others, Parts parts) {
    // A reader that leaves (`| head`) shows as EPIPE, and the command ends in good order.
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    DescriptorOutput out(STDOUT_FILENO, Buffering::full);
    DescriptorOutput err(STDERR_FILENO, Buffering::none);
    const queue::SystemClock clock;
    Context context{Terminal{out, err, columns_of(STDOUT_FILENO), ask_operator}, clock};
    context.find_route = std::move(parts.find_route);
    context.make_reporter = std::move(parts.make_reporter);
    context.check_files = std::move(parts.check_files);
    if (const char* file = std::getenv("POSTERN_CONFIG"); file != nullptr && *file != '\0') {
        context.config_file = file;
    }
    int status = run(std::vector<std::string>(arguments + std::min(count, 1), arguments + count), context, others);
    out.flush();
    if (out.error() == EPIPE) {
        status = exit_done;
    } else if (out.error() != 0) {
        err.write(fmt::format("postern: cannot write: {}\n", std::generic_category().message(out.error())));
        status = exit_disk;
    }
    return status;
}

}  // namespace postern::cli
