// postern status, reload, history.
#include <CLI/CLI.hpp>
#include <set>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/render.hpp"
#include "gateway/control/json.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli::detail {
namespace {

using control::Operations;

int status(const Invocation& invocation, bool json) {
    return with_operations(invocation, [&](Operations& operations) {
        const auto status = operations.status();
        if (!status) {
            return fail(invocation, status.error());
        }
        invocation.context.terminal.out.write(json ? control::encode(*status) + '\n'
                                                   : render_status(*status, invocation.context.clock.wall()));
        return exit_done;
    });
}

int reload(const Invocation& invocation, bool json) {
    return with_operations(invocation, [&](Operations& operations) {
        const auto outcome = operations.reload();
        if (!outcome) {
            return fail(invocation, outcome.error());
        }
        const Terminal& terminal = invocation.context.terminal;
        Output& output = outcome->ok ? terminal.out : terminal.err;
        if (json) {
            terminal.out.write(control::encode(*outcome) + '\n');
        } else {
            for (const std::string& line : outcome->lines) {
                output.write(mail::printable(line, 4096) + '\n');
            }
        }
        return outcome->ok ? exit_done : exit_config;
    });
}

struct HistoryOptions {
    FilterArguments filter;
    bool transcript = false;
    bool json = false;
};

int history(const Invocation& invocation, const HistoryOptions& options) {
    const auto filter = parse_filter(options.filter);
    if (!filter) {
        return fail_usage(invocation, filter.error());
    }
    queue::HistoryFilter wanted;
    wanted.filter = *filter;
    wanted.transcripts = options.transcript;
    return with_operations(invocation, [&](Operations& operations) {
        Output& out = invocation.context.terminal.out;
        std::set<queue::MessageId> unseen(filter->ids.begin(), filter->ids.end());
        bool any = false;
        const auto result = operations.history(wanted, [&](const queue::HistoryEvent& event) {
            any = true;
            unseen.erase(event.message);
            out.write(options.json ? control::encode(event) + '\n' : render_event(event));
            return !out.closed();
        });
        if (!result) {
            return fail(invocation, result.error());
        }
        if (out.closed() || filter->is_everything()) {
            return exit_done;
        }
        if (filter->limit) {
            unseen.clear();  // they may be what was cut off
        }
        for (const queue::MessageId id : unseen) {
            invocation.complain(id.to_string() + ": the history has nothing of it");
        }
        if (!any && filter->ids.empty()) {
            invocation.complain("nothing in the history matched");
        }
        return any && unseen.empty() ? exit_done : exit_no;
    });
}

}  // namespace

void declare_gateway_commands(CLI::App& root, Invocation& invocation) {
    auto history_options = std::make_shared<HistoryOptions>();
    CLI::App& history_app =
        add_command(root, invocation, "history", "what became of messages, delivered ones too",
                    [&invocation, history_options] { return history(invocation, *history_options); });
    add_filter_options(history_app, history_options->filter, Ids::yes);
    history_app.add_flag("--transcript", history_options->transcript,
                         "with each transaction that failed, what was said in it");
    add_json_flag(history_app, history_options->json);

    auto status_json = std::make_shared<bool>(false);
    CLI::App& status_app = add_command(root, invocation, "status", "one screen: queue, rates, backends, disk",
                                       [&invocation, status_json] { return status(invocation, *status_json); });
    add_json_flag(status_app, *status_json);

    auto reload_json = std::make_shared<bool>(false);
    CLI::App& reload_app = add_command(root, invocation, "reload", "have the gateway read its configuration again",
                                       [&invocation, reload_json] { return reload(invocation, *reload_json); });
    add_json_flag(reload_app, *reload_json);
}

}  // namespace postern::cli::detail
