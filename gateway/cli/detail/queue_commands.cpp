// postern queue list, show, cat, why, shape.
#include <algorithm>

#include <CLI/CLI.hpp>

#include "gateway/cli/detail/declare.hpp"
#include "gateway/cli/render.hpp"
#include "gateway/cli/words.hpp"
#include "gateway/control/json.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli::detail {
namespace {

using control::MessageView;
using control::Operations;

struct ListOptions {
    FilterArguments filter;
    bool json = false;
};

int list(const Invocation& invocation, const ListOptions& options) {
    const auto filter = parse_filter(options.filter);
    if (!filter) {
        return fail_usage(invocation, filter.error());
    }
    return with_operations(invocation, [&](Operations& operations) {
        Output& out = invocation.context.terminal.out;
        ListTable table(invocation.context.terminal.columns, invocation.context.clock.wall());
        const auto result = operations.list(*filter, [&](const MessageView& message) {
            out.write(options.json ? control::encode(message) + '\n' : table.add(message));
            return !out.closed();
        });
        out.write(table.finish());
        return result ? exit_done : fail(invocation, result.error());
    });
}

/// ASCII case folded: the operator reads it from a log or types it.
bool is_same_address(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
        const auto fold = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : int{c}; };
        return fold(x) == fold(y);
    });
}

struct MessageOptions {
    std::string id;
    bool json = false;
};

int with_id(const Invocation& invocation, const std::string& text,
            const std::function<int(Operations&, queue::MessageId)>& use) {
    const auto id = queue::MessageId::parse(text);
    if (!id) {
        return fail_usage(invocation,
                          "`" + mail::printable(text, 200) + "` is not a message id: those have 13 letters and digits");
    }
    return with_operations(invocation, [&](Operations& operations) { return use(operations, *id); });
}

int show(const Invocation& invocation, const MessageOptions& options) {
    return with_id(invocation, options.id, [&](Operations& operations, queue::MessageId id) {
        const auto message = operations.show(id);
        if (!message) {
            return fail(invocation, message.error());
        }
        invocation.context.terminal.out.write(options.json ? control::encode(*message) + '\n'
                                                           : render_message(*message, invocation.context.clock.wall()));
        return exit_done;
    });
}

struct WhyOptions {
    std::string id;
    std::string recipient;
    bool json = false;
};

int why(const Invocation& invocation, const WhyOptions& options) {
    return with_id(invocation, options.id, [&](Operations& operations, queue::MessageId id) {
        const auto why = operations.why(id);
        if (!why && why.error().kind == control::FailureKind::not_found) {
            invocation.complain(id.to_string() + ": not in the queue; `postern history " + id.to_string() +
                                "` tells what became of it");
            return exit_no;
        }
        if (!why) {
            return fail(invocation, why.error());
        }
        Output& out = invocation.context.terminal.out;
        bool any = false;
        for (const control::WhyView& each : why->recipients) {
            if (!options.recipient.empty() && !is_same_address(options.recipient, each.recipient)) {
                continue;
            }
            any = true;
            out.write(options.json ? control::encode(id, why->running, each) + '\n'
                                   : render_why(each, invocation.context.clock.wall()));
        }
        if (!any) {
            const std::string who = options.recipient.empty()
                                        ? "nobody waits in it"
                                        : mail::printable(options.recipient, 400) + " does not wait in it";
            invocation.complain(id.to_string() + ": " + who + "; `postern history " + id.to_string() +
                                "` tells what became of its recipients");
        }
        return any ? exit_done : exit_no;
    });
}

int cat(const Invocation& invocation, const MessageOptions& options) {
    return with_id(invocation, options.id, [&](Operations& operations, queue::MessageId id) {
        Output& out = invocation.context.terminal.out;
        const auto result = operations.cat(id, [&out](std::string_view part) {
            out.write(part);
            return !out.closed();
        });
        return result ? exit_done : fail(invocation, result.error());
    });
}

struct ShapeOptions {
    std::string by = "backend";
    bool json = false;
};

int shape(const Invocation& invocation, const ShapeOptions& options) {
    control::ShapeRequest request;
    request.by = options.by == "domain" ? queue::Reader::ShapeBy::domain : queue::Reader::ShapeBy::backend;
    for (int minutes = 5; minutes <= 1280; minutes *= 2) {  // qshape's buckets, which operators know
        request.bounds.emplace_back(std::chrono::minutes(minutes));
    }
    return with_operations(invocation, [&](Operations& operations) {
        const auto cells = operations.shape(request);
        if (!cells) {
            return fail(invocation, cells.error());
        }
        Output& out = invocation.context.terminal.out;
        if (!options.json) {
            out.write(render_shape(*cells, request));
            return exit_done;
        }
        for (const queue::ShapeCell& cell : *cells) {
            out.write(control::encode(cell, request) + '\n');
        }
        return exit_done;
    });
}

}  // namespace

void declare_queue_commands(CLI::App& root, Invocation& invocation) {
    CLI::App* queue = root.add_subcommand("queue", "look at the queue and act on it");
    queue->require_subcommand(1);

    auto list_options = std::make_shared<ListOptions>();
    CLI::App& list_app = add_command(*queue, invocation, "list", "one row a message, the oldest first",
                                     [&invocation, list_options] { return list(invocation, *list_options); });
    add_filter_options(list_app, list_options->filter, Ids::no);
    add_json_flag(list_app, list_options->json);

    auto show_options = std::make_shared<MessageOptions>();
    CLI::App& show_app = add_command(*queue, invocation, "show", "a message and the state of each recipient",
                                     [&invocation, show_options] { return show(invocation, *show_options); });
    show_app.add_option("ID", show_options->id, "the message")->required();
    add_json_flag(show_app, show_options->json);

    auto cat_options = std::make_shared<MessageOptions>();
    CLI::App& cat_app = add_command(*queue, invocation, "cat", "a message as it would be delivered, byte for byte",
                                    [&invocation, cat_options] { return cat(invocation, *cat_options); });
    cat_app.add_option("ID", cat_options->id, "the message")->required();

    auto why_options = std::make_shared<WhyOptions>();
    CLI::App& why_app =
        add_command(*queue, invocation, "why", "what undelivered recipients wait for, and what would change it",
                    [&invocation, why_options] { return why(invocation, *why_options); });
    why_app.add_option("ID", why_options->id, "the message")->required();
    why_app.add_option("RECIPIENT", why_options->recipient, "this one alone");
    add_json_flag(why_app, why_options->json);

    declare_verb_commands(*queue, invocation);

    auto shape_options = std::make_shared<ShapeOptions>();
    CLI::App& shape_app = add_command(*queue, invocation, "shape", "undone recipients by backend or domain against age",
                                      [&invocation, shape_options] { return shape(invocation, *shape_options); });
    shape_app.add_option("--by", shape_options->by, "backend or domain")->check(CLI::IsMember({"backend", "domain"}));
    add_json_flag(shape_app, shape_options->json);
}

}  // namespace postern::cli::detail
