// What a recipient waits for, and how backends and endpoints stand: from the same facts by which the scheduler decides.
#include <algorithm>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery {

using queue::RecipientState;

namespace {

queue::Instant wall_of(queue::SteadyInstant at, const Now& now) {
    return now.wall + std::chrono::duration_cast<queue::Duration>(at - now.steady);
}

/// Of a backend that is down, the endpoint that is probed next.
const EndpointWork* next_probed(const BackendWork& backend) {
    const EndpointWork* next = nullptr;
    for (const EndpointWork& work : backend.endpoints) {
        if (next == nullptr || work.circuit.probe_at() < next->circuit.probe_at()) {
            next = &work;
        }
    }
    return next;
}

Explanation because(Explanation told, WaitsFor reason, std::string text, std::string remedy = {}) {
    told.reason = reason;
    told.text = std::move(text);
    told.remedy = std::move(remedy);
    return told;
}

/// What has an end of its own, whatever the backend does; nullopt: nothing of the kind.
std::optional<Explanation> by_state(const Explanation& told, const queue::Recipient& recipient) {
    switch (recipient.state) {
        case RecipientState::delivered:
            return because(told, WaitsFor::nothing, "it was delivered");
        case RecipientState::removed:
            return because(told, WaitsFor::nothing, "it was removed");
        case RecipientState::returned:
            return because(told, WaitsFor::nothing,
                           "it could not be delivered, and whoever is to be told of it is told");
        case RecipientState::held:
            return because(told, WaitsFor::release, "it is held", "postern queue release");
        case RecipientState::parked:
            return because(told, WaitsFor::report,
                           recipient.failed ? "a store refused it for good, and its sender may not be told: nobody "
                                              "vouches for it, or `bounces` forbids it"
                                            : "it expired, and its sender may not be told: nobody vouches for it, or "
                                              "`bounces` forbids it",
                           "postern queue release to try it again, postern queue bounce to return it to its sender all "
                           "the same, postern queue remove to give it up");
        default:
            return std::nullopt;
    }
}

/// An operator's pause, which keeps also what is not due yet.
std::optional<Explanation> by_pause(Explanation told, const BackendWork& backend) {
    if (!backend.paused) {
        return std::nullopt;
    }
    told.since = backend.paused->at;
    told.actor = backend.paused->actor;
    const std::string& reason = backend.paused->reason;
    return because(told, WaitsFor::resume,
                   "deliveries to the backend are paused by an operator" + (reason.empty() ? "" : ": " + reason),
                   "postern backend resume " + told.backend);
}

/// What keeps a whole backend; nullopt: nothing.
std::optional<Explanation> by_backend(Explanation told, const BackendWork& backend, const Now& now) {
    if (!backend.is_down()) {
        return std::nullopt;
    }
    const EndpointWork& work = *next_probed(backend);
    told.endpoint = work.name;
    told.since = work.since;
    told.reply = work.last_error;
    if (work.circuit.state() == Circuit::State::open) {
        told.until = std::max(now.wall, wall_of(work.circuit.probe_at(), now));
    }
    return because(told, WaitsFor::endpoint,
                   "no endpoint of the backend can be reached; it is probed every few seconds",
                   "the store's return; postern backend probe " + told.backend + " to try now");
}

}  // namespace

std::string_view to_string(WaitsFor reason) {
    switch (reason) {
        case WaitsFor::nothing:
            return "nothing";
        case WaitsFor::result:
            return "result";
        case WaitsFor::record:
            return "record";
        case WaitsFor::next_attempt:
            return "next_attempt";
        case WaitsFor::turn:
            return "turn";
        case WaitsFor::memory:
            return "memory";
        case WaitsFor::mailbox:
            return "mailbox";
        case WaitsFor::endpoint:
            return "endpoint";
        case WaitsFor::resume:
            return "resume";
        case WaitsFor::brake:
            return "brake";
        case WaitsFor::route:
            return "route";
        case WaitsFor::release:
            return "release";
        case WaitsFor::report:
            return "report";
        case WaitsFor::recording:
            return "recording";
        case WaitsFor::stop:
            break;
    }
    return "stop";
}

Explanation Scheduler::explain(queue::MessageId message, const queue::Recipient& recipient, const Now& now) const {
    Explanation told;
    told.ordinal = recipient.ordinal;
    told.recipient = recipient.address.to_string();
    told.backend = recipient.backend;
    told.reply = recipient.last_reply;
    const auto known = known_.find(Key{message.value(), recipient.ordinal});
    const bool in_flight = known != known_.end() && known->second.place == Place::in_flight;
    if (in_flight && !queue::is_done(recipient.state)) {
        const auto running = plans_.find(known->second.plan);
        if (running != plans_.end()) {
            told.backend = running->second.plan->backend;
            told.endpoint =
                running->second.peer.empty() ? running->second.plan->endpoint.to_string() : running->second.peer;
            told.since = running->second.plan->began_at;
        }
        return because(told, recording_ ? WaitsFor::result : WaitsFor::record,
                       recording_ ? "a transaction with it is at work, or its result is being recorded"
                                  : "its result cannot be recorded: the queue's file is in trouble");
    }
    if (auto settled = by_state(told, recipient)) {
        return *settled;
    }
    const auto route = route_of(recipient);
    const auto found = route ? backends_.find(*route) : backends_.end();
    if (found == backends_.end()) {
        return because(told, WaitsFor::route, "the configuration has no backend for its domain",
                       "add its domain to `domains` and reload");
    }
    const BackendWork& backend = found->second;
    told.backend = found->first;
    if (auto paused = by_pause(told, backend)) {
        return *paused;
    }
    if (recipient.next_attempt_at > now.wall) {
        told.until = recipient.next_attempt_at;
        if (backend.braked && recipient.last_reply.starts_with("(kept by the brake)")) {
            told.since = backend.braked->at;
            return because(told, WaitsFor::brake,
                           "a store refused it for good, but the brake keeps the backend's sudden refusals",
                           "mend the store, or postern backend release " + told.backend + " to believe it");
        }
        return because(told, WaitsFor::next_attempt, "it waits for its next attempt",
                       "postern queue retry to try it now");
    }
    if (stopped_) {
        return because(told, WaitsFor::stop, "the gateway is stopping");
    }
    if (!recording_ || !begun_) {
        return because(told, WaitsFor::recording, "results cannot be recorded now, so nothing is delivered",
                       "see the disk error in `postern status`");
    }
    if (auto kept = by_backend(told, backend, now)) {
        return *kept;
    }
    if (known == known_.end()) {
        return because(told, WaitsFor::memory, "it is due, and others of its backend go first");
    }
    if (known->second.blocked) {
        return because(told, WaitsFor::mailbox, "its mailbox takes no more deliveries at once: the store refused them");
    }
    return because(told, WaitsFor::turn, "it is due, and waits for its turn and a free connection to the backend",
                   "a larger `connections` of the backend, if the store can take it");
}

std::vector<BackendState> Scheduler::backends(const Now& now) const {
    std::vector<BackendState> states;
    for (const auto& [name, backend] : backends_) {
        BackendState& state = states.emplace_back();
        state.name = name;
        state.paused = backend.paused;
        state.brake = backend.braked;
        state.refusing = backend.admission.why();
        state.down_since = backend.is_down() ? backend.down_since : std::nullopt;
        state.queued = backend.queued();
        state.backlog = backend.backlog;
        for (const EndpointWork& work : backend.endpoints) {
            EndpointState& endpoint = state.endpoints.emplace_back();
            endpoint.backend = name;
            endpoint.endpoint = work.name;
            endpoint.circuit = work.circuit.state();
            endpoint.since = work.since;
            if (work.circuit.state() == Circuit::State::open) {
                endpoint.next_probe_at = std::max(now.wall, wall_of(work.circuit.probe_at(), now));
            }
            endpoint.in_flight = work.in_flight;
            endpoint.allowed = work.circuit.is_closed() ? work.concurrency.allowed() : 0;
            if (backend.options.is_by_domain()) {
                endpoint.allowed = backend.options.connections;  // nothing is found out here: each domain is another
            }
            endpoint.connections = backend.options.connections;
            endpoint.latency = work.concurrency.latency();
            endpoint.one_by_one = work.step.one_by_one();
            endpoint.last_error = work.last_error;
            endpoint.last_error_at = work.last_error_at;
            state.in_flight += work.in_flight;
        }
    }
    return states;
}

}  // namespace postern::delivery
