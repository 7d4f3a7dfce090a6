#include "gateway/acceptance/acceptance.hpp"

#include <utility>

#include "gateway/acceptance/received.hpp"

namespace postern::acceptance {

namespace asio = boost::asio;
using queue::StoreStatus;
using smtp_server::Refusal;

namespace {

queue::Envelope make_envelope(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                              queue::MessageId id, queue::Instant now) {
    queue::Envelope envelope;
    envelope.id = id;
    envelope.received_at = now;
    envelope.sender = mail.sender;
    envelope.body_type = mail.body_8bit ? queue::BodyType::eight_bit_mime : queue::BodyType::seven_bit;
    envelope.smtputf8 = mail.smtputf8;
    envelope.dsn = mail.dsn;
    envelope.client.address = session.client_address;
    envelope.client.helo = session.helo;
    envelope.client.rdns = session.client_name;
    envelope.client.protocol = protocol_word(session, mail.smtputf8);
    return envelope;
}

}  // namespace

Acceptance::Acceptance(queue::Store& store, const queue::Clock& clock, const Wakeups& wakeups,
                       std::shared_ptr<const Policy> policy, Events events)
    : store_(store), clock_(clock), wakeups_(wakeups), events_(std::move(events)), policy_(std::move(policy)) {}

void Acceptance::replace(std::shared_ptr<const Policy> policy) { policy_.store(std::move(policy)); }

Refusal Acceptance::refused(const smtp_server::SessionInfo& session, mail::Reply reply) {
    events_.refused(session, reply);
    return reply;
}

Refusal Acceptance::connected(const smtp_server::SessionInfo&) { return std::nullopt; }

asio::awaitable<Refusal> Acceptance::mail(const smtp_server::SessionInfo& session,
                                          const smtp_server::MailCommand& command) {
    const StoreStatus status = store_.admit(command.size);
    if (status == StoreStatus::stored) {
        co_return std::nullopt;
    }
    co_return refused(session, refusal_of(status));
}

asio::awaitable<Refusal> Acceptance::rcpt(const smtp_server::SessionInfo& session, const smtp_server::MailCommand&,
                                          const smtp_server::RcptCommand& command) {
    const auto policy = policy_.load();
    auto taken = take_recipient(*policy, command);
    if (taken.has_error()) {
        co_return refused(session, taken.error());
    }
    auto not_now = refusal_now(*policy, taken->backend);
    if (not_now) {
        co_return refused(session, std::move(*not_now));
    }
    co_return std::nullopt;
}

asio::awaitable<smtp_server::Hooks::Begun> Acceptance::begin(const smtp_server::SessionInfo& session,
                                                             const smtp_server::MailCommand& mail,
                                                             const std::vector<smtp_server::RcptCommand>& recipients) {
    co_return begin_now(session, mail, recipients);
}

smtp_server::Hooks::Begun Acceptance::begin_now(const smtp_server::SessionInfo& session,
                                                const smtp_server::MailCommand& mail,
                                                const std::vector<smtp_server::RcptCommand>& commands) {
    Begun begun;
    const StoreStatus status = store_.admit(mail.size);
    if (status != StoreStatus::stored) {
        begun.refusal = refused(session, refusal_of(status));
        return begun;
    }
    const auto policy = policy_.load();
    const queue::Instant now = clock_.wall();
    QueueSinkParts parts;
    parts.recipients.reserve(commands.size());
    for (const smtp_server::RcptCommand& command : commands) {
        auto taken = take_recipient(*policy, command);
        if (!taken.has_value()) {
            // A reload took the domain away since RCPT. The client may come again and hear it at the right place.
            begun.refusal = refused(session, mail::Reply(451, mail::EnhancedStatus(4, 3, 5),
                                                         "The configuration has just changed; try again"));
            return begun;
        }
        queue::Recipient recipient(std::move(taken->address));
        recipient.ordinal = static_cast<queue::Ordinal>(parts.recipients.size());
        recipient.backend = std::move(taken->backend);
        recipient.dsn = command.dsn;
        recipient.next_attempt_at = now;
        parts.recipients.push_back(std::move(recipient));
    }
    parts.message = store_.begin();
    parts.envelope = make_envelope(session, mail, parts.message->id(), now);
    ReceivedFacts facts;
    facts.hostname = policy->hostname;
    facts.id = parts.envelope.id;
    facts.at = now;
    facts.smtputf8 = mail.smtputf8;
    facts.only_recipient = parts.recipients.size() == 1 ? &parts.recipients.front().address : nullptr;
    parts.trace = received_field(session, facts);
    begun.sink = make_queue_sink(std::move(parts), session, wakeups_, events_.accepted);
    return begun;
}

void Acceptance::content_refused(const smtp_server::SessionInfo& session, const mail::Reply& reply) {
    events_.refused(session, reply);
}

void Acceptance::disconnected(const smtp_server::SessionInfo& session, std::string_view reason,
                              std::uint32_t messages) {
    events_.disconnected(session, reason, messages);
}

}  // namespace postern::acceptance
