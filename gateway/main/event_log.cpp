#include "gateway/main/event_log.hpp"

namespace postern::gateway {

using control::Flow;
using log::Level;

namespace {

double seconds(queue::Duration duration) { return static_cast<double>(duration.count()) / 1000; }

std::string recipients_text(const auto& recipients) {
    constexpr std::size_t named_max = 10;
    std::string text;
    for (std::size_t i = 0; i < recipients.size() && i < named_max; ++i) {
        text += (i == 0 ? "" : ",") + recipients[i].address.to_string();
    }
    return recipients.size() > named_max ? text + ",..." : text;
}

}  // namespace

acceptance::Events EventLog::acceptance_events() {
    acceptance::Events events;
    events.accepted = [this](const smtp_server::SessionInfo& session, const queue::Envelope& envelope,
                             const std::vector<queue::Recipient>& recipients) {
        accepted(session, envelope, recipients);
    };
    events.refused = [this](const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                            const mail::Reply& reply) { refused(session, about, reply); };
    events.disconnected = [this](const smtp_server::SessionInfo& session, std::string_view reason,
                                 std::uint32_t messages) {
        const bool usual = reason == "quit" || (reason == "closed by client" && messages > 0);
        log_.write(usual ? Level::debug : Level::info, "disconnected",
                   {{"session", session.session_id},
                    {"client", session.client_address},
                    {"reason", reason},
                    {"messages", messages}});
    };
    return events;
}

void EventLog::refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                       const mail::Reply& reply) {
    if (!log_.is_on(Level::info)) {
        return;
    }
    std::vector<log::Field> fields{
        {"session", session.session_id}, {"client", session.client_address}, {"helo", session.helo}};
    std::string from;
    const std::string to = recipients_text(about.recipients);
    if (about.mail != nullptr) {
        from = about.mail->sender.to_string();
        fields.push_back({"from", from});
    }
    if (!to.empty()) {
        fields.push_back({"to", to});
    }
    const std::string said = reply.to_string();
    fields.push_back({"reply", said});
    log_.write(Level::info, "refused", fields);
}

void EventLog::accepted(const smtp_server::SessionInfo& session, const queue::Envelope& envelope,
                        const std::vector<queue::Recipient>& recipients) {
    flow_.count(&Flow::accepted);
    if (!log_.is_on(Level::info)) {
        return;
    }
    log_.info("accepted", {{"id", envelope.id.to_string()},
                           {"from", envelope.sender.to_string()},
                           {"to", recipients_text(recipients)},
                           {"recipients", static_cast<std::uint64_t>(recipients.size())},
                           {"size", envelope.size},
                           {"client", envelope.client.address},
                           {"helo", envelope.client.helo},
                           {"protocol", envelope.client.protocol},
                           {"tls", session.tls},
                           {"session", session.session_id}});
}

void EventLog::recipient(const delivery::RecipientEvent& event) {
    if (event.event == "delivered") {
        flow_.count(&Flow::delivered);
    } else if (event.event == "failed" || event.event == "expired") {
        flow_.count(&Flow::failed);
    } else {
        flow_.count(&Flow::deferred);
    }
    const Level level = event.event == "held" ? Level::error : Level::info;
    if (!log_.is_on(level)) {
        return;
    }
    log_.write(level, event.event,
               {{"id", event.message.to_string()},
                {"to", event.recipient.address.to_string()},
                {"backend", event.recipient.backend},
                {"endpoint", event.endpoint},
                {"attempt", event.recipient.attempts},
                {"delay", seconds(event.delay)},
                {"session", event.session},
                {"reply", event.recipient.last_reply}});
}

void EventLog::ordered(control::Verb verb, std::size_t recipients, const std::string& actor,
                       const std::string& reason) {
    std::vector<log::Field> fields{
        {"verb", control::to_string(verb)}, {"recipients", static_cast<std::uint64_t>(recipients)}, {"actor", actor}};
    if (!reason.empty()) {
        fields.push_back({"reason", reason});
    }
    log_.write(Level::info, "ordered", fields);
}

void EventLog::endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) {
    log_.warn("endpoint_down", {{"backend", backend}, {"endpoint", endpoint}, {"reason", why}});
}

void EventLog::endpoint_up(const std::string& backend, const std::string& endpoint) {
    log_.info("endpoint_up", {{"backend", backend}, {"endpoint", endpoint}});
}

void EventLog::backend(const delivery::BackendEvent& event) {
    using Kind = delivery::BackendEvent::Kind;
    Level level = Level::info;
    if (event.kind == Kind::brake_on) {
        level = Level::error;
    } else if (event.kind == Kind::paused || event.kind == Kind::refusing || event.kind == Kind::out_of_step ||
               event.kind == Kind::no_route) {
        level = Level::warn;
    }
    std::vector<log::Field> fields{{"backend", event.backend}};
    const auto add = [&fields](std::string_view name, std::string_view value) {  // which outlive the line
        if (!value.empty()) {
            fields.push_back({name, value});
        }
    };
    add("endpoint", event.endpoint);
    add("domain", event.about);
    if (event.count > 0) {
        fields.push_back({"recipients", event.count});
    }
    add("actor", event.actor);
    add("reason", event.reason);
    if (event.kind == Kind::brake_on) {
        add("text", "permanent failures are kept from now on; see `postern backend release`");
    }
    log_.write(level, delivery::to_string(event.kind), fields);
}

void EventLog::answered(const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply) {
    if (news_.answered) {
        news_.answered(backend, address, reply);
    }
}

void EventLog::marked(const std::string& backend, queue::BackendMark::Kind kind, bool set) {
    if (news_.marked) {
        news_.marked(backend, kind, set);
    }
}

void EventLog::introduced(const std::string& backend, const lmtp_client::Endpoint& endpoint,
                          const lmtp_client::Abilities& abilities) {
    if (news_.introduced) {
        news_.introduced(backend, endpoint, abilities);
    }
}

void EventLog::damaged(queue::MessageId message, const std::string& detail) {
    log_.error("damaged", {{"id", message.to_string()}, {"detail", detail}});
}

void EventLog::recounted(const std::string& changes) {
    log_.warn("recounted", {{"changes", changes}, {"text", "the queue's counts were wrong; they were put right"}});
}

void EventLog::problem(const std::string& text) { log_.error("problem", {{"text", text}}); }

void EventLog::reported(const queue::CommittedMessage& report) {
    log_.info("reported", {{"id", report.envelope.about.value_or(queue::MessageId()).to_string()},
                           {"report", report.envelope.id.to_string()},
                           {"to", recipients_text(report.recipients)},
                           {"size", report.envelope.size}});
}

void EventLog::store_health(const std::string& error) {
    if (error.empty()) {
        log_.warn("queue_reopened", {{"text", "the queue is open again"}});
    } else {
        log_.error(
            "queue_closed",
            {{"error", error},
             {"text", "nothing is accepted until it is open again, nor delivered while results cannot be kept"}});
    }
}

}  // namespace postern::gateway
