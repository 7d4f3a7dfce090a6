#include "gateway/cli/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "gateway/cli/words.hpp"
#include "queue/mail/printable.hpp"

namespace postern::cli {
namespace {

std::string field(std::string_view name, std::string_view value) { return fmt::format("{:<12}{}\n", name, value); }
std::string sub_field(std::string_view name, std::string_view value) {
    return fmt::format("  {:<14}{}\n", name, value);
}

std::string client_of(const control::MessageView& message) {
    if (message.client.empty() && message.helo.empty() && message.protocol.empty()) {
        return "the gateway itself: a report";
    }
    std::string text = message.client.empty() ? "a local socket" : fmt::format("[{}]", mail::printable(message.client));
    if (!message.rdns.empty()) {
        text = fmt::format("{} {}", mail::printable(message.rdns), text);
    }
    return fmt::format("{}, HELO {}, {}", text, mail::printable(message.helo), mail::printable(message.protocol));
}

std::string state_of(const control::RecipientView& recipient) {
    const std::string state(queue::to_string(recipient.state));
    switch (recipient.state) {
        case queue::RecipientState::unknown:
            return state + " (the store's answer never came: perhaps delivered already)";
        case queue::RecipientState::parked:
            return state + (recipient.failed ? " (a store refused it for good)" : " (it expired)");
        case queue::RecipientState::held:
            return state + " (until it is released)";
        case queue::RecipientState::returned:
            return state + (recipient.failed ? " (a store refused it for good)" : " (it expired, or by the operator)");
        case queue::RecipientState::ready:
        case queue::RecipientState::waiting:
        case queue::RecipientState::delivered:
        case queue::RecipientState::removed:
            break;
    }
    return state;
}

std::string render_recipient(const control::RecipientView& recipient, queue::Instant now) {
    std::string text = fmt::format("\n{}\n", mail::printable(recipient.address));
    text += sub_field("state", state_of(recipient));
    std::string attempts = std::to_string(recipient.attempts);
    if (recipient.unknowns != 0) {
        attempts += fmt::format(", and {} without an answer", recipient.unknowns);
    }
    text += sub_field("attempts", attempts);
    if (recipient.next_attempt_at) {
        text += sub_field("next attempt", until_with_time(*recipient.next_attempt_at, now));
    }
    text += sub_field("backend", mail::printable(recipient.backend));
    if (!recipient.last_reply.empty()) {
        text += sub_field("last reply", mail::printable(recipient.last_reply));
    }
    return text;
}

/// "well, 3 of 12 at once (at most 20), 4 ms each"; "down for 5m, next probe in 3s: Connection refused".
std::string health_of(const control::EndpointStatus& endpoint, queue::Instant now) {
    std::string text;
    if (endpoint.state == "closed") {
        text = fmt::format("well, {} of {} at once (at most {})", endpoint.in_flight, endpoint.allowed,
                           endpoint.connections);
        if (endpoint.latency > queue::Duration::zero()) {
            text += fmt::format(", {} ms each", endpoint.latency.count());
        }
    } else if (endpoint.state == "open" || endpoint.state == "probing") {
        text = "DOWN" + (endpoint.since ? " for " + span(now - *endpoint.since) : std::string());
        text += endpoint.state == "probing" ? ", being probed"
                : endpoint.next_probe_at    ? ", next probe " + until(*endpoint.next_probe_at, now)
                                            : "";
    } else {
        text = "not known: the gateway is not running";
    }
    text += endpoint.one_by_one ? ", one recipient at a time: it answered out of step" : "";
    if (!endpoint.last_error.empty()) {
        text +=
            fmt::format("; {}{}", mail::printable(endpoint.last_error),
                        endpoint.last_error_at ? fmt::format(" ({} ago)", span(now - *endpoint.last_error_at)) : "");
    }
    return text;
}

/// Line by line, so that no line of a store can pass for one of ours.
std::string render_transcript(std::string_view transcript) {
    constexpr std::size_t line_octets_max = 4096;
    std::string text;
    while (!transcript.empty()) {
        const std::size_t end = transcript.find('\n');
        const std::string_view line = transcript.substr(0, end);
        const bool made_so = mail::is_printable(line);  // once is enough for a backslash
        text += fmt::format("    | {}\n", made_so ? std::string(line) : mail::printable(line, line_octets_max));
        transcript.remove_prefix(end == std::string_view::npos ? transcript.size() : end + 1);
    }
    return text;
}

std::string render_flow(std::string_view name, const control::Flow& flow) {
    return fmt::format("{:<12}{:>12}{:>12}{:>12}{:>12}\n", name, flow.accepted, flow.delivered, flow.deferred,
                       flow.failed);
}

std::string render_queue(const control::Status& status) {
    std::string states;
    for (const auto& [state, number] : status.queue.recipients) {
        if (number != 0 && !queue::is_done(state)) {
            states += fmt::format("{}{} {}", states.empty() ? "" : ", ", number, queue::to_string(state));
        }
    }
    std::string messages = count(status.queue.messages, "message");
    if (status.queue.messages != 0) {
        messages += ", the oldest " + span(std::chrono::seconds(status.oldest_seconds));
    }
    return field("Queue", messages) + field("Recipients", states.empty() ? "none" : states);
}

}  // namespace

std::string render_message(const control::MessageView& message, queue::Instant now) {
    std::string text = field("Id", message.id.to_string());
    text += field("Received",
                  fmt::format("{} ({} ago)", queue::to_rfc3339(message.received_at), span(now - message.received_at)));
    text += field("Sender", fmt::format("<{}>", mail::printable(message.sender)));
    text += field("Client", client_of(message));
    std::string content = fmt::format("{} ({})", size(message.size), count(message.size, "octet"));
    content += message.has_8bit ? ", 8-bit" : "";
    content += message.smtputf8 ? ", SMTPUTF8" : "";
    content += message.require_tls ? ", REQUIRETLS" : "";
    text += field("Size", content);
    if (!message.envid.empty()) {
        text += field("Envelope id", mail::printable(message.envid));
    }
    text += field("Recipients", fmt::format("{}: {}", message.recipients.size(), recipients_by_state(message)));
    for (const control::RecipientView& recipient : message.recipients) {
        text += render_recipient(recipient, now);
    }
    return text;
}

std::string render_backend(const control::BackendStatus& backend, queue::Instant now) {
    std::string text = field("Backend", fmt::format("{}: {} to deliver", mail::printable(backend.name),
                                                    count(backend.backlog, "recipient")));
    const auto decided = [&](std::string_view what, const std::optional<control::BackendDecision>& decision) {
        if (decision) {
            text +=
                fmt::format("  {} {} ago by {}{}\n", what, span(now - decision->at), mail::printable(decision->actor),
                            decision->reason.empty() ? "" : ": " + mail::printable(decision->reason));
        }
    };
    decided("PAUSED", backend.paused);
    decided("BRAKE ON: its permanent failures are kept, not believed; since", backend.brake);
    if (!backend.refusing.empty()) {
        text +=
            fmt::format("  REFUSING: RCPT for its domains is answered 451: {}\n", mail::printable(backend.refusing));
    }
    std::size_t width = 0;
    for (const control::EndpointStatus& endpoint : backend.endpoints) {
        width = std::max(width, columns(mail::printable(endpoint.address)));
    }
    for (const control::EndpointStatus& endpoint : backend.endpoints) {
        text += "  " + pad_right(mail::printable(endpoint.address), width) + "  " + health_of(endpoint, now) + '\n';
    }
    return text;
}

std::string render_why(const control::WhyView& why, queue::Instant now) {
    std::string text = fmt::format("{}\n", mail::printable(why.recipient));
    text += sub_field("state", queue::to_string(why.state));
    text += sub_field("why", mail::printable(why.text));
    if (!why.backend.empty()) {
        text += sub_field("backend", mail::printable(why.backend) +
                                         (why.endpoint.empty() ? "" : ", " + mail::printable(why.endpoint)));
    }
    if (why.since) {
        text += sub_field("since", fmt::format("{} ({} ago){}", queue::to_rfc3339(*why.since), span(now - *why.since),
                                               why.actor.empty() ? "" : ", by " + mail::printable(why.actor)));
    }
    if (why.until) {
        text += sub_field("until", until_with_time(*why.until, now));
    }
    if (!why.remedy.empty()) {
        text += sub_field("to change it", mail::printable(why.remedy));
    }
    if (!why.reply.empty()) {
        text += sub_field("last reply", mail::printable(why.reply));
    }
    return text;
}

std::string render_status(const control::Status& status, queue::Instant now) {
    const control::GatewaySnapshot& gateway = status.gateway;
    std::string text;
    if (gateway.running) {
        text = field("Gateway", fmt::format("postern {}, up {}, {}", mail::printable(gateway.version),
                                            span(std::chrono::seconds(gateway.uptime_seconds)),
                                            count(gateway.sessions, "session")));
    } else {
        text = field("Gateway", "not running");
    }
    text += render_queue(status);
    text +=
        field("Disk", fmt::format("{} free, at least {} kept; {}", size(gateway.disk.free_octets),
                                  size(gateway.disk.minimum_free_octets), mail::printable(gateway.disk.queue_path)));
    if (!gateway.disk.error.empty()) {
        text += field("", "the queue is closed: " + mail::printable(gateway.disk.error));
    }
    if (!gateway.disk.obstacle.empty()) {
        text += field("Taking in", "NOTHING, clients hear 4xx: " + mail::printable(gateway.disk.obstacle));
    }
    for (const control::CertificateStatus& certificate : gateway.certificates) {
        text += field("Certificate",
                      fmt::format("{} on {}, {}; {}", certificate.key, certificate.listener,
                                  certificate.days_left < 0
                                      ? "EXPIRED"
                                      : count(static_cast<std::uint64_t>(certificate.days_left), "day") + " left",
                                  mail::printable(certificate.file)));
    }
    if (gateway.running) {
        text += fmt::format("\n{:<12}{:>12}{:>12}{:>12}{:>12}\n", "", "accepted", "delivered", "deferred", "failed");
        text += render_flow("last minute", gateway.last_minute);
        text += render_flow("since start", gateway.since_start);
        text += '\n';
        for (const control::BackendStatus& backend : gateway.backends) {
            text += render_backend(backend, now);
        }
    }
    return text;
}

std::string render_shape(std::vector<queue::ShapeCell> cells, const control::ShapeRequest& request) {
    const auto total = [](const queue::ShapeCell& cell) {
        return std::accumulate(cell.counts.begin(), cell.counts.end(), std::uint64_t{0});
    };
    std::sort(cells.begin(), cells.end(), [&total](const queue::ShapeCell& a, const queue::ShapeCell& b) {
        return total(a) != total(b) ? total(a) > total(b) : a.key < b.key;
    });
    const std::size_t buckets = request.bounds.size() + 1;
    queue::ShapeCell sum;
    sum.key = "TOTAL";
    sum.counts.assign(buckets, 0);
    std::size_t key_width = sum.key.size();
    for (queue::ShapeCell& cell : cells) {
        cell.counts.resize(buckets);
        cell.key = mail::printable(cell.key);
        key_width = std::max(key_width, columns(cell.key));
        for (std::size_t i = 0; i < buckets; ++i) {
            sum.counts[i] += cell.counts[i];
        }
    }
    cells.insert(cells.begin(), sum);
    // Each count is as wide as its column's sum, which is the widest.
    std::vector<std::string> names{"T"};
    for (const queue::Duration bound : request.bounds) {
        names.push_back(span(bound));
    }
    names.push_back(request.bounds.empty() ? "all" : span(request.bounds.back()) + "+");
    std::string text(key_width, ' ');
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::uint64_t widest = i == 0 ? total(sum) : sum.counts[i - 1];
        widths.push_back(2 + std::max(names[i].size(), std::to_string(widest).size()));
        text += pad_left(names[i], widths[i]);
    }
    text += '\n';
    for (const queue::ShapeCell& cell : cells) {
        text += pad_right(cell.key, key_width) + pad_left(std::to_string(total(cell)), widths[0]);
        for (std::size_t i = 0; i < buckets; ++i) {
            text += pad_left(std::to_string(cell.counts[i]), widths[i + 1]);
        }
        text += '\n';
    }
    return text;
}

std::string render_event(const queue::HistoryEvent& event) {
    if (event.event == "transcript") {
        return render_transcript(event.transcript);
    }
    const bool has_message = event.message != queue::MessageId();
    const std::string id = event.message.to_string();
    std::string text = fmt::format("{}  {}  {:<9}", queue::to_rfc3339(event.at),
                                   has_message ? id : std::string(id.size(), '-'), mail::printable(event.event));
    const auto add = [&text](std::string_view before, std::string_view value) {
        if (!value.empty()) {
            text.append(before).append(mail::printable(value));
        }
    };
    if (event.event == "accepted") {
        text += fmt::format(" from <{}>", mail::printable(event.sender));
        add(" to ", event.recipient);
        add("  client ", event.client);
    } else {
        add(" ", event.recipient);
    }
    if (!has_message) {
        add(" backend ", event.backend);
    } else if (!event.endpoint.empty()) {
        text += fmt::format("  {} {}", mail::printable(event.backend), mail::printable(event.endpoint));
        text += event.ordinal ? fmt::format(", attempt {}", event.attempt) : std::string();
        text += fmt::format(", {} ms", event.duration.count());
    }
    add(", session ", event.session);
    add(", ", event.tls);
    add("  ", event.reply);
    if (event.actor != "gateway") {
        add("  by ", event.actor);
    }
    return text + '\n';
}

std::string render_route(const std::string& address, const Route& route) {
    std::string text = field("Recipient", mail::printable(address));
    text += field("Rule", mail::printable(route.rule));
    text += field("Check", route.check);
    text += field("Backend", mail::printable(route.backend));
    for (std::size_t i = 0; i < route.endpoints.size(); ++i) {
        text += field(i == 0 ? "Endpoints" : "", mail::printable(route.endpoints[i]));
    }
    return text;
}

}  // namespace postern::cli
