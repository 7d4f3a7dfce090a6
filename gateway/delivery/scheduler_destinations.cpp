// From the lines of the domains of others to their servers.
#include <algorithm>
#include <utility>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery {

namespace {

// What a domain floods the lane with comes back 20 ms later for each that was put off before it.
constexpr std::int64_t flood_put_off_each_ms = 20;
constexpr std::int64_t flood_put_off_max_ms = 600'000;

}  // namespace

void Scheduler::dispatch_by_domain(const std::string& name, BackendWork& backend, const Now& now) {
    put_off_floods(backend, now);
    const EndpointWork& way = backend.endpoints.front();
    while (way.in_flight < backend.options.connections) {
        Destinations::Entry* const next = backend.destinations.next(now.steady, backend.options.connections_per_domain);
        if (next == nullptr) {
            return;
        }
        if (next->second.rests(now.steady)) {
            defer_line(name, backend, *next, now);
        } else {
            start_next_of(name, backend, *next, now);
        }
    }
}

void Scheduler::start_next_of(const std::string& name, BackendWork& backend, Destinations::Entry& destination,
                              const Now& now) {
    ReadyQueue& line = destination.second.line;
    const queue::MessageId message = line.front().message;
    const std::size_t before = line.recipients();
    const auto plan = next_plan(name, backend, line, backend.options.recipients_per_transaction, now);
    backend.destinations.took(destination, message, before - line.recipients());
    if (!plan) {
        return;
    }
    EndpointWork& way = backend.endpoints.front();
    plan->domain = destination.first;
    plan->endpoint = way.endpoint;
    plan->endpoint.host = plan->domain;
    ++way.in_flight;
    backend.destinations.began(plan->domain);
    launch(plan);
}

/// Its servers could not be reached a moment ago: nobody is asked again for each message that wants to go there.
void Scheduler::defer_line(const std::string& name, BackendWork& backend, Destinations::Entry& destination,
                           const Now& now) {
    while (!destination.second.line.empty()) {
        Batch batch = destination.second.line.take_last();
        backend.destinations.took(destination, batch.message, batch.recipients.size());
        Plan plan;
        plan.backend = name;
        plan.domain = destination.first;
        plan.endpoint = backend.endpoints.front().endpoint;
        plan.endpoint.host = plan.domain;
        plan.message = batch.message;
        plan.received_at = batch.received_at;
        plan.began = now.steady;
        plan.began_at = now.wall;
        for (queue::Recipient& recipient : batch.recipients) {
            if (!is_to_be_tried(batch, recipient)) {
                continue;
            }
            known_.erase(Key{batch.message.value(), recipient.ordinal});
            if (backend.loading) {
                backend.put_off.emplace_back(batch.message.value(), recipient.ordinal);
            }
            deferred(plan, std::move(recipient), mail::Reply(0, "(not tried: " + destination.second.last_error + ')'),
                     now);
        }
    }
}

/// When the lane's memory fills, who has more than his share of it waits in the store: others go by.
void Scheduler::put_off_floods(BackendWork& backend, const Now& now) {
    if (backend.queued() <= window() / 2) {
        return;
    }
    for (Destinations::Entry* const flood : backend.destinations.longer_than(share(backend))) {
        Destination& destination = flood->second;
        while (destination.line.recipients() > share(backend)) {
            Batch batch = destination.line.take_last();
            backend.destinations.took(*flood, batch.message, batch.recipients.size());
            for (queue::Recipient& recipient : batch.recipients) {
                if (!is_to_be_tried(batch, recipient)) {
                    continue;
                }
                const std::int64_t turn = std::min(flood_put_off_max_ms, flood_put_off_each_ms * destination.put_off++);
                put_off(backend, batch, std::move(recipient), queue::Duration(turn),
                        "(not tried yet: much waits for the servers of its domain)", now);
            }
        }
    }
}

/// False: it is elsewhere already, or an operator has taken it out.
bool Scheduler::is_to_be_tried(const Batch& batch, const queue::Recipient& recipient) {
    const auto known = known_.find(Key{batch.message.value(), recipient.ordinal});
    if (known == known_.end() || known->second.place == Place::in_flight) {
        return false;
    }
    if (known->second.place == Place::withdrawn) {
        known_.erase(known);
        return false;
    }
    return true;
}

std::size_t Scheduler::domains_in_memory() const noexcept {
    std::size_t sum = 0;
    for (const auto& [name, backend] : backends_) {
        sum += backend.destinations.size();
    }
    return sum;
}

/// How long nobody will be asked for its domain.
queue::Duration Scheduler::rest_of(const Plan& plan, const Now& now) const {
    const auto backend = backends_.find(plan.backend);
    const Destination* const destination =
        backend == backends_.end() || plan.domain.empty() ? nullptr : backend->second.destinations.find(plan.domain);
    if (destination == nullptr || !destination->rests(now.steady)) {
        return queue::Duration(0);
    }
    return std::chrono::ceil<queue::Duration>(destination->rests_until - now.steady);
}

}  // namespace postern::delivery
