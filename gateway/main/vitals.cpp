#include "gateway/main/vitals.hpp"

#include "gateway/cli/versions.hpp"
#include "gateway/control/metrics.hpp"
#include "gateway/main/process_usage.hpp"
#include "queue/mail/printable.hpp"

namespace postern::gateway {

control::Pages Vitals::pages() {
    return {[this] { return metrics(); }, [this] { return obstacle(); }};
}

std::string Vitals::metrics() const {
    const auto config = parts_.config();
    control::Metrics metrics;
    metrics.gateway = parts_.live.snapshot();
    metrics.revision = cli::revision();
    metrics.now = parts_.clock.wall();
    metrics.started_at = started_at_;
    metrics.obstacle = obstacle();
    const smtp_server::ServerCounters clients = parts_.server.counters();
    metrics.clients = {clients.connections_total, clients.refused};
    metrics.written = parts_.store.counters();
    metrics.store = parts_.store.state();
    metrics.messages_max = config->queue.maximum_messages;
    if (auto reader = queue::open_reader(config->queue.path)) {
        if (auto totals = (*reader)->totals()) {
            metrics.queue = std::move(*totals);
        }
    }
    metrics.process = process_usage();
    return control::render_metrics(metrics);
}

std::string Vitals::obstacle() const {
    if (stopping_) {
        return "the gateway is stopping";
    }
    return obstacle_of(parts_.store.state(), parts_.config()->queue, parts_.store_error());
}

std::string obstacle_of(const queue::StoreState& store, const config::Queue& limits, const std::string& error) {
    switch (store.obstacle) {
        case queue::Obstacle::none:
            break;
        case queue::Obstacle::closed:
            return "the queue takes nothing in: " + mail::printable(error);
        case queue::Obstacle::full:
            return "the disk of the queue is full, or its write-ahead log is as large as it may become";
        case queue::Obstacle::little_room:
            return "less than queue.minimum_free_disk (" + std::to_string(limits.minimum_free_disk) +
                   " bytes) is free on the disk of the queue";
        case queue::Obstacle::many_messages:
            return "as many messages are queued as may be (queue.maximum_messages: " +
                   std::to_string(limits.maximum_messages) + ")";
    }
    return {};
}

}  // namespace postern::gateway
