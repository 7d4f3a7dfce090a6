#include "gateway/main/live_gateway.hpp"

#include <sys/statvfs.h>

#include "gateway/cli/versions.hpp"
#include "gateway/main/vitals.hpp"

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
        case control::Verb::bounce:
            return delivery::Order::bounce;
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
            return {Status::disk_full, result.changed};
        case queue::StoreStatus::failed:
        case queue::StoreStatus::doubtful:
            break;
    }
    return {Status::failed, result.changed};
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

delivery::BackendOrder order_of(control::BackendVerb verb) {
    switch (verb) {
        case control::BackendVerb::pause:
            return delivery::BackendOrder::pause;
        case control::BackendVerb::resume:
            return delivery::BackendOrder::resume;
        case control::BackendVerb::release:
            break;
    }
    return delivery::BackendOrder::release_brake;
}

control::BackendResult result_of(const delivery::BackendOrderResult& result) {
    using Ordered = delivery::Scheduler::Ordered;
    if (result.ordered == Ordered::unknown_backend) {
        return control::BackendResult::unknown_backend;
    }
    if (result.ordered == Ordered::nothing_to_do) {
        return control::BackendResult::nothing_to_do;
    }
    if (result.status == queue::StoreStatus::stored) {
        return control::BackendResult::done;
    }
    return result.status == queue::StoreStatus::disk_full ? control::BackendResult::disk_full
                                                          : control::BackendResult::failed;
}

std::optional<control::BackendDecision> decision_of(const std::optional<delivery::Decision>& decision) {
    if (!decision) {
        return std::nullopt;
    }
    return control::BackendDecision{decision->at, decision->actor, decision->reason};
}

control::BackendStatus status_of(const delivery::BackendState& backend) {
    control::BackendStatus status;
    status.name = backend.name;
    status.paused = decision_of(backend.paused);
    status.brake = decision_of(backend.brake);
    status.refusing = backend.refusing;
    status.down_since = backend.down_since;
    status.backlog = backend.backlog;
    status.in_flight = static_cast<std::uint32_t>(backend.in_flight);
    for (const delivery::EndpointState& endpoint : backend.endpoints) {
        control::EndpointStatus& shown = status.endpoints.emplace_back();
        shown.address = endpoint.endpoint;
        shown.state = state_name(endpoint.circuit);
        shown.since = endpoint.since;
        shown.next_probe_at = endpoint.next_probe_at;
        shown.in_flight = endpoint.in_flight;
        shown.allowed = endpoint.allowed;
        shown.connections = endpoint.connections;
        shown.latency = endpoint.latency;
        shown.one_by_one = endpoint.one_by_one;
        shown.last_error = endpoint.last_error;
        shown.last_error_at = endpoint.last_error_at;
    }
    return status;
}

}  // namespace

LiveParts::LiveParts(References parts) : parts_(std::move(parts)), started_(parts_.clock.steady()) {}

void LiveParts::apply(control::Verb verb, std::vector<control::RecipientRef> recipients, std::string actor,
                      std::string reason, std::function<void(control::ApplyResult)> done) {
    std::vector<delivery::RecipientKey> keys;
    keys.reserve(recipients.size());
    for (const control::RecipientRef& recipient : recipients) {
        keys.push_back({recipient.message, recipient.ordinal});
    }
    auto tell = [ordered = parts_.ordered, verb, actor, reason, done = std::move(done)](delivery::OrderResult result) {
        if (result.changed > 0) {
            ordered(verb, result.changed, actor, reason);
        }
        done(result_of(result));
    };
    parts_.engine.order(order_of(verb), std::move(keys), std::move(actor), std::move(reason), std::move(tell));
}

control::GatewaySnapshot LiveParts::snapshot() {
    const auto config = parts_.config();
    control::GatewaySnapshot snapshot;
    snapshot.version = cli::version();
    snapshot.uptime_seconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(parts_.clock.steady() - started_).count());
    const smtp_server::ServerCounters counters = parts_.server.counters();
    snapshot.sessions = counters.connections;
    snapshot.tls = {counters.tls_full, counters.tls_resumed, counters.tls_failed};
    snapshot.certificates = parts_.certificates.status();
    snapshot.since_start = parts_.flow.since_start();
    snapshot.last_minute = parts_.flow.last_minute();
    snapshot.disk.queue_path = config->queue.path;
    snapshot.disk.minimum_free_octets = config->queue.minimum_free_disk;
    snapshot.disk.error = parts_.store_error();
    const queue::StoreState store = parts_.store.state();
    if (store.obstacle != queue::Obstacle::closed) {  // that is `error`
        snapshot.disk.obstacle = obstacle_of(store, config->queue, {});
    }
    struct statvfs disk {};
    if (::statvfs(config->queue.path.c_str(), &disk) == 0) {
        snapshot.disk.free_octets = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    }
    for (const delivery::BackendState& backend : parts_.engine.backends()) {
        snapshot.backends.push_back(status_of(backend));
    }
    return snapshot;
}

std::vector<control::WhyView> LiveParts::explain(const queue::QueuedMessage& message) {
    std::vector<control::WhyView> all;
    for (delivery::Explanation& told : parts_.engine.explain(message)) {
        if (told.ordinal >= message.recipients.size() || queue::is_done(message.recipients[told.ordinal].state)) {
            continue;
        }
        control::WhyView& why = all.emplace_back();
        why.ordinal = told.ordinal;
        why.recipient = std::move(told.recipient);
        why.state = message.recipients[told.ordinal].state;
        why.waits_for = delivery::to_string(told.reason);
        why.text = std::move(told.text);
        why.remedy = std::move(told.remedy);
        why.backend = std::move(told.backend);
        why.endpoint = std::move(told.endpoint);
        why.since = told.since;
        why.until = told.until;
        why.reply = std::move(told.reply);
        why.actor = std::move(told.actor);
    }
    return all;
}

void LiveParts::order(control::BackendVerb verb, std::string backend, std::string actor, std::string reason,
                      std::function<void(control::BackendResult)> done) {
    queue::HistoryEvent event = control::backend_event(verb, parts_.clock.wall(), backend, actor, reason);
    auto tell = [note = parts_.note, event = std::move(event),
                 done = std::move(done)](const delivery::BackendOrderResult& result) {
        const control::BackendResult told = result_of(result);
        if (result.ordered == delivery::Scheduler::Ordered::done) {
            note(event);
        }
        done(told);
    };
    parts_.engine.order(order_of(verb), std::move(backend), std::move(actor), std::move(reason), std::move(tell));
}

void LiveParts::probe(std::string backend, std::function<void(std::vector<control::ProbeView>)> done) {
    auto tell = [backend, done = std::move(done)](std::vector<delivery::ProbeResult> results) {
        std::vector<control::ProbeView> views;
        for (delivery::ProbeResult& result : results) {
            views.push_back({backend, std::move(result.endpoint), result.well, std::move(result.detail)});
        }
        done(std::move(views));
    };
    parts_.engine.probe(std::move(backend), std::move(tell));
}

control::ReloadOutcome LiveParts::reload(const std::string& actor) { return parts_.reload(actor); }

}  // namespace postern::gateway
