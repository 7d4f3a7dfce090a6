#include "gateway/cli/filter_arguments.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "gateway/cli/words.hpp"
#include "gateway/control/json.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli {
namespace {

/// Thrown and caught in this file alone.
struct BadArgument {
    std::string text;
};

[[noreturn]] void bad(std::string_view what, const std::string& value, std::string_view expected) {
    throw BadArgument{fmt::format("{} `{}`: expected {}", what, mail::printable(value, 200), expected)};
}

std::optional<queue::Duration> span_of(std::string_view option, const std::optional<std::string>& text) {
    if (!text) {
        return std::nullopt;
    }
    const auto span = parse_span(*text);
    if (!span) {
        bad(option, *text, "a span of time such as 30s, 5m, 4h or 5d");
    }
    return span;
}

std::optional<std::uint64_t> limit_of(const std::optional<std::string>& text) {
    if (!text) {
        return std::nullopt;
    }
    std::uint64_t limit = 0;
    const char* last = text->data() + text->size();
    const auto [end, error] = std::from_chars(text->data(), last, limit);
    if (error != std::errc() || end != last || limit == 0 || limit > std::numeric_limits<std::int64_t>::max()) {
        bad("--limit", *text, "a number of messages, 1 or more");
    }
    return limit;
}

queue::Filter filter_of(const FilterArguments& arguments) {
    queue::Filter filter;
    for (const std::string& text : arguments.ids) {
        const auto id = queue::MessageId::parse(text);
        if (!id) {
            bad("message id", text, "13 letters and digits, as `postern queue list` shows them");
        }
        filter.ids.push_back(*id);
    }
    for (const std::string& text : arguments.states) {
        const auto state = queue::parse_recipient_state(text);
        if (!state) {
            bad("--state", text, "ready, waiting, unknown, held, parked, delivered, removed or returned");
        }
        filter.states.push_back(*state);
    }
    for (const std::string& text : arguments.clients) {
        if (!control::is_client(text)) {
            bad("--client", text, "an IP address, or a network such as 192.0.2.0/24");
        }
    }
    filter.backends = arguments.backends;
    filter.domains = arguments.domains;
    filter.recipients = arguments.recipients;
    filter.senders = arguments.senders;
    filter.clients = arguments.clients;
    filter.older_than = span_of("--older-than", arguments.older_than);
    filter.younger_than = span_of("--younger-than", arguments.younger_than);
    filter.reply = arguments.reply;
    filter.limit = limit_of(arguments.limit);
    return filter;
}

}  // namespace

Result<queue::Filter, std::string> parse_filter(const FilterArguments& arguments) {
    try {
        queue::Filter filter = filter_of(arguments);
        if (arguments.all && !filter.is_everything()) {
            return std::string("--all contradicts the other filters: give one or the other");
        }
        return filter;
    } catch (const BadArgument& error) {
        return error.text;
    }
}

}  // namespace postern::cli
