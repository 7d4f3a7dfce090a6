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
    const EndpointWork& way = backend.endpoints.front();
    while (way.in_flight < backend.options.connections) {
        Destinations::Entry* const next = backend.destinations.next(now.steady, backend.options.connections_per_domain);
        if (next == nullptr) {
            break;
        }
        if (next->second.rests(now.steady)) {
            defer_line(name, backend, *next, now);
        } else {
            start_next_of(name, backend, *next, now);
        }
    }
    put_off_floods(backend, now);
}

void Scheduler::start_next_of(const std::string& name, BackendWork& backend, Destinations::Entry& destination,
                              const Now& now) {
    ReadyQueue& line = destination.second.line;
    const queue::MessageId message = line.front().message;
    const std::size_t before = line.recipients();
    const auto plan = next_plan(name, backend, line, backend.options.recipients_per_transaction, now);
    backend.destinations.took(destination, message, before - line.recipients());
    refill_if_room(backend, message);
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
        refill_if_room(backend, batch.message);
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
            backend.left_the_line(recipient.address);
            if (!is_to_be_tried(batch, recipient)) {
                continue;
            }
            known_.erase(Key{batch.message.value(), recipient.ordinal});
            backend.put_off.emplace(batch.message.value(), recipient.ordinal);
            deferred(plan, std::move(recipient), mail::Reply(0, "(not tried: " + destination.second.last_error + ')'),
                     now);
        }
    }
}

/// When the lane's memory fills, who has more than his share of it waits in the store: others go by. However many
/// domains are slow, half of the memory is left to find others with; who could begin keeps one recipient, for his turn.
void Scheduler::put_off_floods(BackendWork& backend, const Now& now) {
    if (backend.queued() <= window() / 2) {
        return;
    }
    const std::size_t fair = window() / 2 / std::max<std::size_t>(1, backend.destinations.waiting());
    const std::size_t most = std::min(share(backend), fair);
    for (Destinations::Entry* const flood : backend.destinations.longer_than(most)) {
        Destination& destination = flood->second;
        const bool has_room = destination.has_room(backend.options.connections_per_domain);
        const std::size_t keeps = has_room ? std::max<std::size_t>(1, most) : most;
        while (destination.line.recipients() > keeps) {
            put_off_behind(backend, *flood, keeps, now);
        }
    }
}

/// Of the last batch in a line, those whom it has no place for.
void Scheduler::put_off_behind(BackendWork& backend, Destinations::Entry& flood, std::size_t keeps, const Now& now) {
    Batch batch = flood.second.line.take_last();
    const queue::MessageId message = batch.message;
    const std::size_t taken = batch.recipients.size();
    const std::size_t stay = std::min(taken, keeps - std::min(keeps, flood.second.line.recipients()));
    for (std::size_t index = stay; index < taken; ++index) {
        queue::Recipient& recipient = batch.recipients[index];
        backend.left_the_line(recipient.address);
        if (!is_to_be_tried(batch, recipient)) {
            continue;
        }
        const std::int64_t turn = std::min(flood_put_off_max_ms, flood_put_off_each_ms * flood.second.put_off++);
        put_off(backend, batch, std::move(recipient), queue::Duration(turn),
                "(not tried yet: much waits for the servers of its domain)", now);
    }
    batch.recipients.erase(batch.recipients.begin() + static_cast<std::ptrdiff_t>(stay), batch.recipients.end());
    backend.destinations.add(std::move(batch));
    backend.destinations.took(flood, message, taken);
    refill_if_room(backend, message);
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
