#include "gateway/acceptance/acceptance.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "gateway/acceptance/abilities.hpp"
#include "gateway/acceptance/received.hpp"

namespace postern::acceptance {

namespace asio = boost::asio;
using queue::StoreStatus;
using smtp_server::Refusal;

namespace {

Client client_of(const smtp_server::SessionInfo& session) {
    return session.trusted ? Client::trusted : Client::anybody;
}

/// Of the recipients that a client has named already, those that will be asked for in the same way as the one before.
std::vector<mail::Mailbox> askable(const Policy& policy, const smtp_server::SessionInfo& session,
                                   const smtp_server::MailCommand& mail, std::vector<mail::Mailbox> ahead,
                                   const recipients::Check& check) {
    std::vector<mail::Mailbox> askable;
    for (mail::Mailbox& address : ahead) {
        smtp_server::RcptCommand command{std::move(address), false, {}};
        auto taken = take_recipient(policy, command, client_of(session));
        const bool will_be_asked_for = taken.has_value() && !recipients::is_postmaster(taken->address) &&
                                       policy.check_of(taken->address).get() == &check &&
                                       !unable_to_take(policy, mail, *taken);
        if (will_be_asked_for) {
            askable.push_back(std::move(taken->address));
        }
    }
    return askable;
}

/// Asks, and resumes on the session's own thread.
asio::awaitable<recipients::Verdict> found_out(std::shared_ptr<recipients::Check> check, mail::Mailbox address,
                                               recipients::Check::Ahead ahead, asio::any_io_executor executor) {
    auto initiate = [check = std::move(check), address = std::move(address), ahead = std::move(ahead),
                     executor](auto handler) {
        // std::function wants something that can be copied; the handler cannot.
        auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        check->ask(address, ahead, [waiting, executor](recipients::Verdict verdict) {
            asio::post(executor,
                       [waiting, verdict = std::move(verdict)]() mutable { std::move (*waiting)(std::move(verdict)); });
        });
    };
    auto awaiting = asio::async_initiate<const asio::use_awaitable_t<>, void(recipients::Verdict)>(std::move(initiate),
                                                                                                   asio::use_awaitable);
    recipients::Verdict verdict = co_await std::move(awaiting);
    co_return verdict;
}

queue::Envelope make_envelope(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                              queue::MessageId id, queue::Instant now) {
    queue::Envelope envelope;
    envelope.id = id;
    envelope.received_at = now;
    envelope.sender = mail.sender;
    envelope.body_type = mail.body_8bit ? queue::BodyType::eight_bit_mime : queue::BodyType::seven_bit;
    envelope.smtputf8 = mail.smtputf8;
    envelope.require_tls = mail.require_tls;
    envelope.dsn = mail.dsn;
    envelope.client.address = session.client_address;
    envelope.client.helo = session.helo;
    envelope.client.rdns = session.client_name;
    envelope.client.protocol = protocol_word(session, mail.smtputf8);
    envelope.client.session = session.session_id;
    envelope.client.tls = session.tls;
    envelope.origin = session.trusted ? queue::Origin::trusted : queue::Origin::client;
    return envelope;
}

}  // namespace

Acceptance::Acceptance(queue::Store& store, const queue::Clock& clock, const Wakeups& wakeups,
                       screening::Screen& screen, std::shared_ptr<const Policy> policy, Events events)
    : store_(store),
      clock_(clock),
      wakeups_(wakeups),
      screen_(screen),
      events_(std::move(events)),
      policy_(std::move(policy)) {}

void Acceptance::replace(std::shared_ptr<const Policy> policy) { policy_.store(std::move(policy)); }

Refusal Acceptance::refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                            mail::Reply reply) {
    events_.refused(session, about, reply);
    return reply;
}

Refusal Acceptance::connected(const smtp_server::SessionInfo& session) {
    return harvesting(*policy_.load(), session, {});
}

/// 421 for who has asked for too many recipients that do not exist.
Refusal Acceptance::harvesting(const Policy& policy, const smtp_server::SessionInfo& session,
                               const smtp_server::Envelope& about) {
    const recipients::HarvestBrake* const brake = brake_for(policy, session);
    if (brake == nullptr || !brake->refuses(session.client_address, clock_.steady())) {
        return std::nullopt;
    }
    return refused(session, about,
                   mail::Reply(421, mail::EnhancedStatus(4, 7, 1),
                               "Too many unknown recipients from your address; try again later"));
}

asio::awaitable<Refusal> Acceptance::mail(smtp_server::SessionInfo& session, const smtp_server::MailCommand& command) {
    const StoreStatus status = store_.admit(command.size);
    if (status != StoreStatus::stored) {
        co_return refused(session, {&command, {}}, refusal_of(status));
    }
    Refusal unwelcome = co_await screen_.mail(session, command);
    if (unwelcome) {
        co_return refused(session, {&command, {}}, std::move(*unwelcome));
    }
    co_return std::nullopt;
}

asio::awaitable<Refusal> Acceptance::rcpt(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                                          const smtp_server::RcptCommand& command) {
    const smtp_server::Envelope about{&mail, {&command, 1}};
    const auto policy = policy_.load();
    auto too_curious = harvesting(*policy, session, about);
    if (too_curious) {
        co_return too_curious;
    }
    auto taken = take_recipient(*policy, command, client_of(session));
    if (taken.has_error()) {
        co_return refused(session, about, taken.error());
    }
    Refusal unwelcome = co_await screen_.rcpt(session, command);
    if (unwelcome) {
        co_return refused(session, about, std::move(*unwelcome));
    }
    auto in_clear = tls_refusal(*policy, mail, taken->backend);
    if (in_clear) {
        co_return refused(session, about, std::move(*in_clear));
    }
    auto not_now = refusal_now(*policy, taken->backend);
    if (not_now) {
        co_return refused(session, about, std::move(*not_now));
    }
    auto unable = unable_to_take(*policy, mail, *taken);
    if (unable) {
        co_return refused(session, about, std::move(*unable));
    }
    std::shared_ptr<recipients::Check> check;
    if (policy->check_of && !command.bare_postmaster && !recipients::is_postmaster(taken->address)) {
        check = policy->check_of(taken->address);
    }
    if (check) {
        std::optional<recipients::Verdict> verdict = check->look(taken->address);
        if (!verdict) {
            const asio::any_io_executor executor = co_await asio::this_coro::executor;
            // Whom a pipelining client names next is asked for in the same transaction, if he will be asked for at all.
            const recipients::Check* const this_check = check.get();
            auto ahead = [&session, &mail, policy, this_check] {
                return askable(*policy, session, mail, session.recipients_ahead(), *this_check);
            };
            auto asking = found_out(std::move(check), taken->address, std::move(ahead), executor);
            recipients::Verdict answer = co_await std::move(asking);
            verdict = std::move(answer);
            unable = unable_to_take(*policy, mail, *taken);  // asked, the store has said what it can do
            if (unable) {
                co_return refused(session, about, std::move(*unable));
            }
        }
        recipients::HarvestBrake* const brake = verdict->is_unknown ? brake_for(*policy, session) : nullptr;
        if (brake != nullptr) {
            brake->asked_for_nobody(session.client_address, clock_.steady());
        }
        if (verdict->refusal) {
            co_return refused(session, about, std::move(*verdict->refusal));
        }
    }
    auto later = screen_.come_again(session, mail, command);
    if (later) {
        co_return refused(session, about, std::move(*later));
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
        begun.refusal = refused(session, {&mail, commands}, refusal_of(status));
        return begun;
    }
    const auto policy = policy_.load();
    const queue::Instant now = clock_.wall();
    QueueSinkParts parts;
    parts.policy = policy;
    parts.clock = &clock_;
    parts.recipients.reserve(commands.size());
    for (const smtp_server::RcptCommand& command : commands) {
        auto taken = take_recipient(*policy, command, client_of(session));
        if (!taken.has_value()) {
            // A reload took the domain away since RCPT. The client may come again and hear it at the right place.
            begun.refusal = refused(
                session, {&mail, commands},
                mail::Reply(451, mail::EnhancedStatus(4, 3, 5), "The configuration has just changed; try again"));
            return begun;
        }
        queue::Recipient recipient(std::move(taken->address));
        recipient.ordinal = static_cast<queue::Ordinal>(parts.recipients.size());
        recipient.backend = std::move(taken->backend);
        recipient.dsn = command.dsn;
        recipient.next_attempt_at = now;
        parts.recipients.push_back(std::move(recipient));
    }
    parts.message = store_.begin(mail.size);
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

void Acceptance::content_refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                                 const mail::Reply& reply) {
    events_.refused(session, about, reply);
}

void Acceptance::disconnected(const smtp_server::SessionInfo& session, std::string_view reason,
                              std::uint32_t messages) {
    events_.disconnected(session, reason, messages);
}

}  // namespace postern::acceptance
