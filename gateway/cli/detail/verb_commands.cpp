// postern queue retry, hold, release, remove, bounce: on ids or on a filter, never on everything by accident.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/words.hpp"
#include "gateway/control/json.hpp"

namespace postern::cli::detail {
namespace {

using control::Operations;
using control::Outcome;
using control::Verb;

struct VerbOptions {
    Verb verb = Verb::retry;
    FilterArguments filter;
    std::string reason;
    bool yes = false;
    bool dry_run = false;
    bool json = false;
};

std::string extent(std::uint64_t recipients, std::uint64_t messages) {
    return fmt::format("{} of {}", count(recipients, "recipient"), count(messages, "message"));
}

int print(const Invocation& invocation, const VerbOptions& options, const Outcome& outcome) {
    for (const queue::MessageId id : outcome.missing) {
        invocation.complain(fmt::format(
            "{0}: no such message in the queue; `postern history {0}` tells what became of it", id.to_string()));
    }
    if (options.json) {
        invocation.say(control::encode(outcome));
    } else if (outcome.recipients == 0) {
        invocation.complain(fmt::format("nothing matched that `{}` acts on", to_string(options.verb)));
    } else if (options.dry_run) {
        invocation.say(
            fmt::format("would {} {}", to_string(options.verb), extent(outcome.recipients, outcome.messages)));
    } else {
        invocation.say(fmt::format("{} {}", event_name(options.verb), extent(outcome.changed, outcome.messages)));
    }
    return outcome.recipients == 0 || !outcome.missing.empty() ? exit_no : exit_done;
}

/// Whether a filter may act: one message at once, more when the operator says yes. Else the exit status.
std::optional<int> confirm(const Invocation& invocation, const VerbOptions& options, const Outcome& count) {
    if (count.messages <= 1) {
        return std::nullopt;
    }
    const std::string what = fmt::format("{} {}", to_string(options.verb), extent(count.recipients, count.messages));
    const auto answer = invocation.context.terminal.ask(what + "?");
    if (!answer) {
        return fail_usage(
            invocation,
            fmt::format("this would {}, and there is no terminal to ask on: add --yes to do it, or --dry-run "
                        "to count only",
                        what));
    }
    if (!*answer) {
        invocation.complain("nothing was changed");
        return exit_no;
    }
    return std::nullopt;
}

int apply(const Invocation& invocation, const VerbOptions& options) {
    const auto filter = parse_filter(options.filter);
    if (!filter) {
        return fail_usage(invocation, filter.error());
    }
    if (filter->is_everything() && !options.filter.all) {
        return fail_usage(invocation, "name messages by id or by a filter, or all of them by --all");
    }
    return with_operations(invocation, [&](Operations& operations) {
        control::ApplyRequest request;
        request.verb = options.verb;
        request.filter = *filter;
        request.reason = options.reason;
        const bool counted_first = !options.yes && filter->ids.empty() && !options.dry_run;
        if (counted_first || options.dry_run) {
            request.dry_run = true;
            const auto counted = operations.apply(request);
            if (!counted) {
                return fail(invocation, counted.error());
            }
            if (options.dry_run || counted->recipients == 0) {
                return print(invocation, options, *counted);
            }
            if (const auto status = confirm(invocation, options, *counted)) {
                return *status;
            }
        }
        request.dry_run = false;
        const auto outcome = operations.apply(request);
        return outcome ? print(invocation, options, *outcome) : fail(invocation, outcome.error());
    });
}

void declare(CLI::App& queue, Invocation& invocation, Verb verb, const std::string& description) {
    auto options = std::make_shared<VerbOptions>();
    options->verb = verb;
    CLI::App& app = add_command(queue, invocation, std::string(to_string(verb)), description,
                                [&invocation, options] { return apply(invocation, *options); });
    add_filter_options(app, options->filter, Ids::yes);
    if (verb == Verb::bounce) {
        app.add_option("--reason", options->reason, "why, for the sender")->type_name("TEXT");
    }
    app.add_flag("--yes", options->yes, "do not ask");
    app.add_flag("--dry-run", options->dry_run, "count only");
    add_json_flag(app, options->json);
}

}  // namespace

void declare_verb_commands(CLI::App& queue, Invocation& invocation) {
    declare(queue, invocation, Verb::retry, "try recipients that wait now");
    declare(queue, invocation, Verb::hold, "keep recipients until they are released");
    declare(queue, invocation, Verb::release, "try recipients that were held or parked");
    declare(queue, invocation, Verb::remove, "take recipients out; nobody is told");
    declare(queue, invocation, Verb::bounce, "return recipients to their senders, also parked ones");
}

}  // namespace postern::cli::detail
