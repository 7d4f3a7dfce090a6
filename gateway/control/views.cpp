#include "gateway/control/views.hpp"

#include "gateway/control/live_gateway.hpp"

namespace postern::control {

std::string_view to_string(BackendVerb verb) {
    switch (verb) {
        case BackendVerb::pause:
            return "pause";
        case BackendVerb::resume:
            return "resume";
        case BackendVerb::release:
            break;
    }
    return "release";
}

std::optional<BackendVerb> parse_backend_verb(std::string_view text) {
    for (const BackendVerb verb : {BackendVerb::pause, BackendVerb::resume, BackendVerb::release}) {
        if (to_string(verb) == text) {
            return verb;
        }
    }
    return std::nullopt;
}

queue::HistoryEvent backend_event(BackendVerb verb, queue::Instant at, std::string backend, std::string actor,
                                  std::string reason) {
    queue::HistoryEvent event;
    event.at = at;
    event.event = verb == BackendVerb::pause ? "paused" : verb == BackendVerb::resume ? "resumed" : "brake_released";
    event.backend = std::move(backend);
    event.actor = std::move(actor);
    event.reply = std::move(reason);
    return event;
}
namespace {

RecipientView view_of(const queue::Recipient& recipient) {
    RecipientView view;
    view.ordinal = recipient.ordinal;
    view.address = recipient.address.to_string();
    view.state = recipient.state;
    view.attempts = recipient.attempts;
    view.unknowns = recipient.unknowns;
    if (queue::is_schedulable(recipient.state)) {
        view.next_attempt_at = recipient.next_attempt_at;
    }
    view.backend = recipient.backend;
    view.last_reply = recipient.last_reply;
    view.failed = recipient.failed;
    return view;
}

}  // namespace

MessageView view_of(const queue::QueuedMessage& message) {
    const queue::Envelope& envelope = message.envelope;
    MessageView view;
    view.id = envelope.id;
    view.received_at = envelope.received_at;
    view.size = envelope.size;
    view.sender = envelope.sender.to_string();
    view.client = envelope.client.address;
    view.helo = envelope.client.helo;
    view.rdns = envelope.client.rdns;
    view.protocol = envelope.client.protocol;
    view.has_8bit = envelope.has_8bit;
    view.smtputf8 = envelope.smtputf8;
    view.require_tls = envelope.require_tls;
    view.envid = envelope.dsn.envid;
    view.recipients.reserve(message.recipients.size());
    for (const queue::Recipient& recipient : message.recipients) {
        view.recipients.push_back(view_of(recipient));
    }
    return view;
}

}  // namespace postern::control
