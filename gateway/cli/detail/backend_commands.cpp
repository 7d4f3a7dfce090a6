// postern backend list, pause, resume, release, probe. `backend conformance` is gateway/main's, which knows the client.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/render.hpp"
#include "gateway/control/json.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli::detail {
namespace {

using control::BackendStatus;
using control::BackendVerb;
using control::Operations;

struct BackendArguments {
    std::string name;
    std::string reason;
    bool all = false;
    bool json = false;
};

/// What a probe has shown.
std::string well(const control::ProbeView& probe) {
    if (probe.endpoint.starts_with("smtp://*")) {
        return "well: the DNS answers; whether the servers of a domain do, each delivery shows";
    }
    return probe.endpoint.starts_with("smtp://") ? "well: it connects, greets and takes EHLO"
                                                 : "well: it connects, greets and takes LHLO";
}

int no_backend(const Invocation& invocation, const std::string& name) {
    invocation.complain(fmt::format("there is no backend `{}`", mail::printable(name, 200)));
    return exit_no;
}

int list(const Invocation& invocation, const BackendArguments& arguments) {
    return with_operations(invocation, [&](Operations& operations) {
        const auto status = operations.status();
        if (!status) {
            return fail(invocation, status.error());
        }
        bool any = false;
        Output& out = invocation.context.terminal.out;
        for (const BackendStatus& backend : status->gateway.backends) {
            if (arguments.name.empty() || backend.name == arguments.name) {
                any = true;
                out.write(arguments.json ? control::encode(backend) + '\n'
                                         : render_backend(backend, invocation.context.clock.wall()));
            }
        }
        return any ? exit_done : no_backend(invocation, arguments.name);
    });
}

/// The backends that are meant: the one named, or all. Else the exit status.
Result<std::vector<std::string>, int> chosen(const Invocation& invocation, Operations& operations,
                                             const BackendArguments& arguments) {
    std::vector<std::string> names;
    if (!arguments.name.empty()) {
        names.push_back(arguments.name);
        return names;
    }
    const auto status = operations.status();
    if (!status) {
        return {boost::system::in_place_error, fail(invocation, status.error())};
    }
    for (const BackendStatus& backend : status->gateway.backends) {
        names.push_back(backend.name);
    }
    return names;
}

std::string_view told(BackendVerb verb, bool changed) {
    switch (verb) {
        case BackendVerb::pause:
            return changed ? "paused: its mail is accepted and waits" : "was paused already";
        case BackendVerb::resume:
            return changed ? "resumed: its mail flows again" : "was not paused";
        case BackendVerb::release:
            break;
    }
    return changed ? "released: its permanent failures count again" : "has no brake on";
}

int change(const Invocation& invocation, BackendVerb verb, const BackendArguments& arguments) {
    if (arguments.name.empty() != arguments.all) {
        return fail_usage(invocation, "name one backend, or all of them by --all");
    }
    return with_operations(invocation, [&](Operations& operations) {
        const auto names = chosen(invocation, operations, arguments);
        if (!names) {
            return names.error();
        }
        for (const std::string& name : *names) {
            control::BackendRequest request;
            request.verb = verb;
            request.backend = name;
            request.reason = arguments.reason;
            const auto changed = operations.change(request);
            if (!changed) {
                return fail(invocation, changed.error());
            }
            if (arguments.json) {
                invocation.say(control::encode(*changed, request));
            } else {
                invocation.say(fmt::format("{}: {}", mail::printable(name, 200), told(verb, changed->changed)));
            }
        }
        return exit_done;
    });
}

int probe(const Invocation& invocation, const BackendArguments& arguments) {
    return with_operations(invocation, [&](Operations& operations) {
        const auto names = chosen(invocation, operations, arguments);
        if (!names) {
            return names.error();
        }
        bool all_well = true;
        for (const std::string& name : *names) {
            const auto probes = operations.probe(name);
            if (!probes) {
                return fail(invocation, probes.error());
            }
            for (const control::ProbeView& each : *probes) {
                all_well = all_well && each.well;
                invocation.say(arguments.json ? control::encode(each)
                                              : fmt::format("{} {}: {}", mail::printable(each.backend),
                                                            mail::printable(each.endpoint),
                                                            mail::printable(each.well ? well(each) : each.detail)));
            }
        }
        return all_well ? exit_done : exit_no;
    });
}

CLI::App& declare(CLI::App& group, Invocation& invocation, const std::string& name, const std::string& description,
                  const std::shared_ptr<BackendArguments>& arguments, std::function<int()> run) {
    CLI::App& app = add_command(group, invocation, name, description, std::move(run));
    app.add_option("NAME", arguments->name, "the backend");
    add_json_flag(app, arguments->json);
    return app;
}

void declare_change(CLI::App& group, Invocation& invocation, BackendVerb verb, const std::string& description) {
    auto arguments = std::make_shared<BackendArguments>();
    CLI::App& app = declare(group, invocation, std::string(to_string(verb)), description, arguments,
                            [&invocation, verb, arguments] { return change(invocation, verb, *arguments); });
    app.add_flag("--all", arguments->all, "every backend");
    app.add_option("--reason", arguments->reason, "for whoever looks next; kept in the history")->type_name("TEXT");
}

}  // namespace

void declare_backend_commands(CLI::App& root, Invocation& invocation) {
    CLI::App& backend = command_group(root, "backend", backend_group_description);
    auto list_arguments = std::make_shared<BackendArguments>();
    declare(backend, invocation, "list", "health, work in hand and last error of each endpoint", list_arguments,
            [&invocation, list_arguments] { return list(invocation, *list_arguments); });
    declare_change(backend, invocation, BackendVerb::pause,
                   "stop deliveries to a backend; its mail is accepted and waits");
    declare_change(backend, invocation, BackendVerb::resume, "let deliveries to a paused backend go on");
    declare_change(backend, invocation, BackendVerb::release,
                   "take the brake off: believe a backend's permanent failures again");
    auto probe_arguments = std::make_shared<BackendArguments>();
    declare(backend, invocation, "probe", "connect to each endpoint now; all backends when none is named",
            probe_arguments, [&invocation, probe_arguments] { return probe(invocation, *probe_arguments); });
}

}  // namespace postern::cli::detail
