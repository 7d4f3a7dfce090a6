#include "gateway/main/live_gateway.hpp"

#include <sys/statvfs.h>

#include "gateway/cli/versions.hpp"

namespace postern::gateway {

namespace {

delivery::Order order_of(control::Verb verb) {
    switch (verb) {
        case control::Verb::retry:
            return delivery::Order::retry;
        case control::Verb::hold:
            return delivery::Order::hold;
        case control::Verb::release:
            return delivery::Order::release;
        case control::Verb::remove:
            break;
    }
    return delivery::Order::remove;
}

control::ApplyResult result_of(const delivery::OrderResult& result) {
    using Status = control::ApplyResult::Status;
    switch (result.status) {
        case queue::StoreStatus::stored:
            return {Status::done, result.changed};
        case queue::StoreStatus::disk_full:
            return {Status::disk_full, 0};
        case queue::StoreStatus::failed:
        case queue::StoreStatus::doubtful:
            break;
    }
    return {Status::failed, 0};
}

std::string state_name(delivery::Circuit::State state) {
    switch (state) {
        case delivery::Circuit::State::closed:
            return "closed";
        case delivery::Circuit::State::open:
            return "open";
        case delivery::Circuit::State::probing:
            break;
    }
    return "probing";
}

}  // namespace

LiveParts::LiveParts(References parts) : parts_(std::move(parts)), started_(parts_.clock.steady()) {}

void LiveParts::apply(control::Verb verb, std::vector<control::RecipientRef> recipients, std::string actor,
                      std::function<void(control::ApplyResult)> done) {
    std::vector<delivery::RecipientKey> keys;
    keys.reserve(recipients.size());
    for (const control::RecipientRef& recipient : recipients) {
        keys.push_back({recipient.message, recipient.ordinal});
    }
    parts_.engine.order(order_of(verb), std::move(keys), std::move(actor),
                        [done = std::move(done)](delivery::OrderResult result) { done(result_of(result)); });
}

control::GatewaySnapshot LiveParts::snapshot() {
    const auto config = parts_.config();
    control::GatewaySnapshot snapshot;
    snapshot.version = cli::version();
    snapshot.uptime_seconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(parts_.clock.steady() - started_).count());
    snapshot.sessions = parts_.server.counters().connections;
    snapshot.since_start = parts_.flow.since_start();
    snapshot.last_minute = parts_.flow.last_minute();
    snapshot.disk.queue_path = config->queue.path;
    snapshot.disk.minimum_free_octets = config->queue.minimum_free_disk;
    snapshot.disk.error = parts_.store_error();
    struct statvfs disk {};
    if (::statvfs(config->queue.path.c_str(), &disk) == 0) {
        snapshot.disk.free_octets = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    }
    for (const delivery::BackendState& backend : parts_.engine.backends()) {
        control::BackendStatus& shown = snapshot.backends.emplace_back();
        shown.name = backend.name;
        for (const delivery::EndpointState& endpoint : backend.endpoints) {
            control::EndpointStatus& status = shown.endpoints.emplace_back();
            status.address = endpoint.endpoint;
            status.state = state_name(endpoint.circuit);
            status.in_flight = endpoint.in_flight;
            status.connections = endpoint.in_flight;
            status.last_error = endpoint.last_error;
        }
    }
    return snapshot;
}

control::ReloadOutcome LiveParts::reload(const std::string& actor) { return parts_.reload(actor); }

}  // namespace postern::gateway
