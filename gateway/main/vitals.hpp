// What those who watch the gateway are told: gathers the numbers of the parts for the metrics listener.
//
// Threads: any.
#pragma once

#include <atomic>
#include <string>

#include "gateway/control/metrics_server.hpp"
#include "gateway/main/live_gateway.hpp"

namespace postern::gateway {

/// Why the queue takes nothing in, in words; empty: it does. `error`: why it is closed, if it is.
[[nodiscard]] std::string obstacle_of(const queue::StoreState& store, const config::Queue& limits,
                                      const std::string& error);

class Vitals {
public:
    /// All outlive it.
    struct References {
        LiveParts& live;
        queue::SqliteStore& store;
        const smtp_server::Server& server;
        const queue::Clock& clock;
        std::function<std::shared_ptr<const config::Config>()> config;
        std::function<std::string()> store_error;
    };
    explicit Vitals(References parts) : parts_(std::move(parts)), started_at_(parts_.clock.wall()) {}

    /// From now on no mail is accepted.
    void stopping() noexcept { stopping_ = true; }
    [[nodiscard]] control::Pages pages();

private:
    [[nodiscard]] std::string metrics() const;
    /// Why no mail is accepted, in words; empty: it is.
    [[nodiscard]] std::string obstacle() const;

    References parts_;
    const queue::Instant started_at_;
    std::atomic<bool> stopping_{false};
};

}  // namespace postern::gateway
