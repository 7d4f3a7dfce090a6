// `limits`: the bounds of the receiving side.
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {

void read_limits(const Node& node, Limits& limits, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    // Any server takes 64K octets (RFC 5321 section 4.5.3.1.7) and 100 recipients (RFC 5321 section 4.5.3.1.8).
    section.size("message_size", limits.message_size, {64ULL << 10, 2ULL << 30});
    section.number("recipients_per_message", limits.recipients_per_message, {100U, 100'000U});
    section.number("connections", limits.connections, {1U, 1'000'000U});
    section.number("connections_per_client", limits.connections_per_client, {1U, 1'000'000U});
    section.number("connections_per_minute", limits.connections_per_minute, {0U, 1'000'000U});
    section.number("messages_per_minute", limits.messages_per_minute, {0U, 1'000'000U});
    section.number("recipients_per_minute", limits.recipients_per_minute, {0U, 10'000'000U});
    section.number("errors_per_minute", limits.errors_per_minute, {0U, 1'000'000U});
    section.number("unknown_recipients_per_hour", limits.unknown_recipients_per_hour, {0U, 1'000'000U});
    section.number("commands_without_mail", limits.commands_without_mail, {10U, 1'000'000U});
    section.duration("greeting_delay", limits.greeting_delay, {0ms, 30s});
    section.duration("stress_timeout", limits.stress_timeout, {0ms, 5min});
    section.number("errors_per_session", limits.errors_per_session, {1U, 100'000U});
    section.duration("command_timeout", limits.command_timeout, {100ms, 24h});
    section.duration("data_timeout", limits.data_timeout, {100ms, 24h});
    section.number("received_headers", limits.received_headers, {1U, 10'000U});
    section.finish();
    if (section.has("connections_per_client") && limits.connections_per_client > limits.connections) {
        problems.warning(section.at("connections_per_client"),
                         "`connections_per_client` is more than `connections`: one client can take them all");
    }
}

}  // namespace postern::config::detail
