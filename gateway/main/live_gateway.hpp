// What the control API may ask of the running gateway, carried out by its parts.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "gateway/config/config.hpp"
#include "gateway/control/live_gateway.hpp"
#include "gateway/delivery/engine.hpp"
#include "gateway/main/certificates.hpp"
#include "gateway/main/flow_meter.hpp"
#include "queue/sqlite_store.hpp"
#include "smtp-server/server.hpp"

namespace postern::gateway {

class LiveParts final : public control::LiveGateway {
public:
    struct References {
        delivery::Engine& engine;
        queue::SqliteStore& store;
        smtp_server::Server& server;
        const FlowMeter& flow;
        const queue::Clock& clock;
        const Certificates& certificates;
        std::function<std::shared_ptr<const config::Config>()> config;
        std::function<std::string()> store_error;
        std::function<control::ReloadOutcome(const std::string&)> reload;
        std::function<void(queue::HistoryEvent)> note;  ///< a row in the history; any thread
        /// An operator's order on recipients was carried out on so many; any thread.
        std::function<void(control::Verb, std::size_t recipients, const std::string& actor, const std::string& reason)>
            ordered;
    };
    explicit LiveParts(References parts);

    void apply(control::Verb verb, std::vector<control::RecipientRef> recipients, std::string actor, std::string reason,
               std::function<void(control::ApplyResult)> done) override;
    [[nodiscard]] std::vector<control::WhyView> explain(const queue::QueuedMessage& message) override;
    void order(control::BackendVerb verb, std::string backend, std::string actor, std::string reason,
               std::function<void(control::BackendResult)> done) override;
    void probe(std::string backend, std::function<void(std::vector<control::ProbeView>)> done) override;
    [[nodiscard]] control::GatewaySnapshot snapshot() override;
    [[nodiscard]] control::ReloadOutcome reload(const std::string& actor) override;

private:
    References parts_;
    queue::SteadyInstant started_;
};

}  // namespace postern::gateway
