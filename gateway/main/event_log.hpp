// The log's words for what the parts tell: one event a line, as the contract names them. Threads: any.
#pragma once

#include <string>
#include <vector>

#include "gateway/acceptance/acceptance.hpp"
#include "gateway/delivery/events.hpp"
#include "gateway/log/log.hpp"
#include "gateway/main/flow_meter.hpp"

namespace postern::gateway {

class EventLog final : public delivery::Events {
public:
    EventLog(log::Log& log, FlowMeter& flow) : log_(log), flow_(flow) {}

    /// The hooks of acceptance, bound to this.
    [[nodiscard]] acceptance::Events acceptance_events();

    void recipient(const delivery::RecipientEvent& event) override;
    void endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) override;
    void endpoint_up(const std::string& backend, const std::string& endpoint) override;
    void backend(const delivery::BackendEvent& event) override;
    void damaged(queue::MessageId message, const std::string& detail) override;
    void problem(const std::string& text) override;
    void store_health(const std::string& error);

private:
    void accepted(const smtp_server::SessionInfo& session, const queue::Envelope& envelope,
                  const std::vector<queue::Recipient>& recipients);

    log::Log& log_;
    FlowMeter& flow_;
};

}  // namespace postern::gateway
