// The gateway's answers to a client: smtp-server's hooks over a policy and the store. What cannot be delivered is
// refused here, with the sender still on the line, not bounced later.
//
// Threads: as Hooks says. replace() from any.
#pragma once

#include <functional>
#include <memory>

#include "gateway/acceptance/policy.hpp"
#include "gateway/acceptance/queue_sink.hpp"
#include "gateway/acceptance/wakeups.hpp"
#include "gateway/screening/screen.hpp"
#include "queue/mail/snapshot.hpp"
#include "queue/store.hpp"
#include "queue/time.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::acceptance {

/// What the log is told. Called on I/O threads; must not block.
struct Events {
    AcceptedSink accepted;
    /// A MAIL, a RCPT, a message.
    std::function<void(const smtp_server::SessionInfo&, const smtp_server::Envelope&, const mail::Reply&)> refused;
    std::function<void(const smtp_server::SessionInfo&, std::string_view reason, std::uint32_t messages)> disconnected;
};

class Acceptance final : public smtp_server::Hooks {
public:
    /// All references outlive it.
    Acceptance(queue::Store& store, const queue::Clock& clock, const Wakeups& wakeups, screening::Screen& screen,
               std::shared_ptr<const Policy> policy, Events events);

    /// Commands that come from now on follow `policy`.
    void replace(std::shared_ptr<const Policy> policy);

    smtp_server::Refusal connected(const smtp_server::SessionInfo& session) override;
    boost::asio::awaitable<smtp_server::Refusal> mail(smtp_server::SessionInfo& session,
                                                      const smtp_server::MailCommand& command) override;
    boost::asio::awaitable<smtp_server::Refusal> rcpt(const smtp_server::SessionInfo& session,
                                                      const smtp_server::MailCommand& mail,
                                                      const smtp_server::RcptCommand& command) override;
    boost::asio::awaitable<Begun> begin(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                                        const std::vector<smtp_server::RcptCommand>& recipients) override;
    void content_refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                         const mail::Reply& reply) override;
    void disconnected(const smtp_server::SessionInfo& session, std::string_view reason,
                      std::uint32_t messages) override;

private:
    Begun begin_now(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                    const std::vector<smtp_server::RcptCommand>& commands);
    smtp_server::Refusal refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                                 mail::Reply reply);
    smtp_server::Refusal harvesting(const Policy& policy, const smtp_server::SessionInfo& session,
                                    const smtp_server::Envelope& about);

    queue::Store& store_;
    const queue::Clock& clock_;
    const Wakeups& wakeups_;
    screening::Screen& screen_;
    const Events events_;
    Snapshot<Policy> policy_;
};

}  // namespace postern::acceptance
