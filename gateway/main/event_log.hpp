// The log's words for what the parts tell: one event a line, as the contract names them. Threads: any.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/acceptance/acceptance.hpp"
#include "gateway/control/verb.hpp"
#include "gateway/delivery/events.hpp"
#include "gateway/log/log.hpp"
#include "gateway/main/flow_meter.hpp"

namespace postern::gateway {

class EventLog final : public delivery::Events {
public:
    EventLog(log::Log& log, FlowMeter& flow) : log_(log), flow_(flow) {}

    /// Who wants to know what stores say of recipients and of themselves. Set before deliveries begin.
    struct StoreNews {
        std::function<void(const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply)>
            answered;
        std::function<void(const std::string& backend, queue::BackendMark::Kind kind, bool set)> marked;
        std::function<void(const std::string& backend, const lmtp_client::Endpoint& endpoint,
                           const lmtp_client::Abilities& abilities)>
            introduced;
    };
    void connect(StoreNews news) { news_ = std::move(news); }

    /// The hooks of acceptance, bound to this.
    [[nodiscard]] acceptance::Events acceptance_events();

    /// An operator's order on recipients was carried out.
    void ordered(control::Verb verb, std::size_t recipients, const std::string& actor, const std::string& reason);

    void recipient(const delivery::RecipientEvent& event) override;
    void endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) override;
    void endpoint_up(const std::string& backend, const std::string& endpoint) override;
    void backend(const delivery::BackendEvent& event) override;
    void answered(const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply) override;
    void marked(const std::string& backend, queue::BackendMark::Kind kind, bool set) override;
    void introduced(const std::string& backend, const lmtp_client::Endpoint& endpoint,
                    const lmtp_client::Abilities& abilities) override;
    void damaged(queue::MessageId message, const std::string& detail) override;
    void recounted(const std::string& changes) override;
    void problem(const std::string& text) override;
    /// A report was queued.
    void reported(const queue::CommittedMessage& report);
    void store_health(const std::string& error);

private:
    void refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about, const mail::Reply& reply);
    void accepted(const smtp_server::SessionInfo& session, const queue::Envelope& envelope,
                  const std::vector<queue::Recipient>& recipients);

    log::Log& log_;
    FlowMeter& flow_;
    StoreNews news_;
};

}  // namespace postern::gateway
