// From the line to an endpoint.
#include <algorithm>
#include <utility>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery {

namespace {

constexpr std::size_t blocked_max = 20;         ///< of a mailbox, in memory: the rest waits in the store
constexpr std::uint32_t unknowns_together = 2;  ///< from then on alone: a neighbour may be who breaks the dialogue
constexpr std::int64_t put_off_min_ms = 5'000;
constexpr std::uint64_t put_off_spread_ms = 25'000;

/// The endpoint that gets the next transaction; nullptr: none has room.
EndpointWork* choose(BackendWork& backend, queue::SteadyInstant now) {
    auto& endpoints = backend.endpoints;
    if (backend.options.balance == Balance::failover) {
        // Who hangs gives way to the next, though not at once: a store that is slow is still the first.
        const auto speaks = [now](const auto& work) {
            return work.circuit.is_closed() && !work.is_silent(now, hung_after);
        };
        auto first_well = std::find_if(endpoints.begin(), endpoints.end(), speaks);
        if (first_well == endpoints.end()) {
            first_well = std::find_if(endpoints.begin(), endpoints.end(),
                                      [](const auto& work) { return work.circuit.is_closed(); });
        }
        return first_well != endpoints.end() && first_well->has_room() ? &*first_well : nullptr;
    }
    // A hung endpoint does not draw in what its neighbours can deliver.
    const bool somebody_answers = std::any_of(endpoints.begin(), endpoints.end(), [now](const auto& work) {
        return work.circuit.is_closed() && !work.is_silent(now);
    });
    EndpointWork* chosen = nullptr;
    const std::size_t count = endpoints.size();
    for (std::size_t i = 0; i < count; ++i) {
        EndpointWork& work = endpoints[(backend.next_endpoint + i) % count];
        if (!work.has_room() || (somebody_answers && work.is_silent(now))) {
            continue;
        }
        if (chosen == nullptr || work.in_flight < chosen->in_flight) {
            chosen = &work;
        }
    }
    if (chosen != nullptr && count > 1) {
        backend.next_endpoint = static_cast<std::size_t>(chosen - endpoints.data() + 1) % count;
    }
    return chosen;
}

}  // namespace

void Scheduler::dispatch(const std::string& name, BackendWork& backend, const Now& now) {
    if (backend.paused) {
        return;
    }
    if (backend.options.is_by_domain()) {
        dispatch_by_domain(name, backend, now);
        return;
    }
    if (backend.options.balance == Balance::sticky) {
        backend.look_who_hangs(now.steady);
        for (EndpointWork& work : backend.endpoints) {
            while (!work.own.empty() && work.has_room()) {
                start_next(name, backend, work, work.own, now);
            }
        }
        return;
    }
    while (!backend.ready.empty()) {
        EndpointWork* const endpoint = choose(backend, now.steady);
        if (endpoint == nullptr) {
            return;
        }
        start_next(name, backend, *endpoint, backend.ready, now);
    }
}

void Scheduler::start_next(const std::string& name, BackendWork& backend, EndpointWork& endpoint, ReadyQueue& line,
                           const Now& now) {
    const std::size_t limit = endpoint.step.one_by_one() ? 1 : backend.options.recipients_per_transaction;
    const queue::MessageId message = line.front().message;
    auto plan = next_plan(name, backend, line, limit, now);
    refill_if_room(backend, message);
    if (!plan) {
        return;
    }
    plan->endpoint = endpoint.endpoint;
    if (endpoint.in_flight++ == 0) {
        endpoint.progress_at = now.steady;
    }
    launch(std::move(plan));
}

std::shared_ptr<Plan> Scheduler::next_plan(const std::string& name, BackendWork& backend, ReadyQueue& line,
                                           std::size_t limit, const Now& now) {
    auto plan = std::make_shared<Plan>();
    plan->message = line.front().message;
    plan->received_at = line.front().received_at;
    plan->size = line.front().size;
    plan->fresh = line.front().fresh;
    plan->recipients = take(backend, line, limit, now);
    if (plan->recipients.empty()) {
        return nullptr;
    }
    plan->number = ++plan_numbers_;
    plan->backend = name;
    plan->began = now.steady;
    plan->began_at = now.wall;
    for (const queue::Recipient& recipient : plan->recipients) {
        Known& known = known_[Key{plan->message.value(), recipient.ordinal}];
        known.place = Place::in_flight;
        known.due.reset();
        known.plan = plan->number;
        if (!backend.limits.empty()) {
            backend.limits.began(recipient.address.to_string());
        }
    }
    return plan;
}

/// Recipients of `message` have left the lines: what was left out of it may follow.
void Scheduler::refill_if_room(BackendWork& backend, queue::MessageId message) const {
    if (!backend.left_out.empty() && backend.queued_of(message) <= share(backend) / 2) {
        backend.has_room_again(message);
    }
}

void Scheduler::launch(std::shared_ptr<const Plan> plan) {
    plans_.emplace(plan->number, Running{plan, {}, {}, {}});
    host_.start(std::move(plan));
}

std::vector<queue::Recipient> Scheduler::take(BackendWork& backend, ReadyQueue& line, std::size_t limit,
                                              const Now& now) {
    Batch& batch = line.front();
    std::vector<queue::Recipient> taken;
    std::map<std::string, std::uint32_t> here;  // of limited mailboxes
    std::size_t used = 0;
    for (; used < batch.recipients.size() && taken.size() < limit; ++used) {
        queue::Recipient& recipient = batch.recipients[used];
        const bool goes_alone = recipient.unknowns >= unknowns_together;
        if (goes_alone && !taken.empty()) {
            break;
        }
        const auto known = known_.find(Key{batch.message.value(), recipient.ordinal});
        if (known == known_.end() || known->second.place == Place::in_flight) {
            continue;
        }
        if (known->second.place == Place::withdrawn) {
            known_.erase(known);
            backend.left_the_line(recipient.address);
            continue;
        }
        if (!backend.limits.empty()) {
            const std::string mailbox = recipient.address.to_string();
            if (backend.limits.knows(mailbox) && (!backend.limits.has_room(mailbox) || here[mailbox]++ > 0)) {
                block(backend, batch, std::move(recipient), now);
                continue;
            }
        }
        taken.push_back(std::move(recipient));
        limit = goes_alone ? 1 : limit;
    }
    batch.recipients.erase(batch.recipients.begin(), batch.recipients.begin() + static_cast<std::ptrdiff_t>(used));
    line.took(used);
    return taken;
}

void Scheduler::block(BackendWork& backend, const Batch& from, queue::Recipient recipient, const Now& now) {
    const Key key{from.message.value(), recipient.ordinal};
    auto& waiting = backend.blocked[recipient.address.to_string()];
    if (waiting.size() < blocked_max) {
        known_[key].blocked = true;
        Batch one;
        one.message = from.message;
        one.received_at = from.received_at;
        one.size = from.size;
        one.fresh = from.fresh;
        one.recipients.push_back(std::move(recipient));
        waiting.push_back(std::move(one));
        ++backend.blocked_count;
        return;
    }
    // One flooded mailbox must not fill the window: it waits in the store, and a success for the mailbox calls it.
    put_off(backend, from, std::move(recipient), queue::Duration(0), "(its mailbox takes no more deliveries at once)",
            now);
}

/// Out of memory and into the store, uncharged, for 5 to 30 s and `longer`.
void Scheduler::put_off(BackendWork& backend, const Batch& from, queue::Recipient recipient, queue::Duration longer,
                        const char* why, const Now& now) {
    const Key key{from.message.value(), recipient.ordinal};
    known_.erase(key);
    backend.put_off.emplace(key.message, key.ordinal);
    queue::RecipientUpdate update;
    update.message = from.message;
    update.ordinal = recipient.ordinal;
    update.state = recipient.state == queue::RecipientState::unknown ? recipient.state : queue::RecipientState::waiting;
    update.attempts = recipient.attempts;
    update.unknowns = recipient.unknowns;
    const std::uint64_t mixed = static_cast<std::uint64_t>(key.message) * 7919U + key.ordinal * 104'729ULL;
    update.next_attempt_at = now.wall + queue::Duration(put_off_min_ms) +
                             queue::Duration(static_cast<std::int64_t>(mixed % put_off_spread_ms)) + longer;
    update.backend = recipient.backend;
    update.last_reply = recipient.last_reply.empty() ? why : recipient.last_reply;
    if (!backend.due_at || update.next_attempt_at < *backend.due_at) {
        backend.due_at = update.next_attempt_at;
    }
    backend.waiting.waits(recipient.address.to_string(), now.steady);
    host_.record(std::move(update), std::nullopt);
}

/// The next one of the mailbox into the line, if it has room. False: none.
bool Scheduler::unblock(BackendWork& backend, const std::string& mailbox) {
    const auto found = backend.blocked.find(mailbox);
    if (found == backend.blocked.end() || !backend.limits.has_room(mailbox)) {
        return false;
    }
    bool is_one = false;
    while (!is_one && !found->second.empty()) {
        Batch next = std::move(found->second.front());
        found->second.pop_front();
        --backend.blocked_count;
        const auto known = known_.find(Key{next.message.value(), next.recipients.front().ordinal});
        if (known != known_.end() && known->second.place == Place::withdrawn) {
            known_.erase(known);
        } else if (known != known_.end()) {
            known->second.blocked = false;
            backend.enqueue(std::move(next));
            is_one = true;
        }
    }
    if (found->second.empty()) {
        backend.blocked.erase(found);
    }
    return is_one;
}

/// Who was let into the line for a mailbox may have left it otherwise than for an endpoint: then no end of a
/// transaction lets in the next one. False: nobody.
bool Scheduler::unblock_freed(BackendWork& backend) {
    bool somebody = false;
    for (const std::string& mailbox : std::exchange(backend.freed, {})) {
        somebody = unblock(backend, mailbox) || somebody;
    }
    return somebody;
}

std::uint32_t Scheduler::at_work_for(const std::string& backend, const std::string& mailbox) const {
    std::uint32_t count = 0;
    for (const auto& [number, running] : plans_) {
        if (running.plan->backend != backend) {
            continue;
        }
        for (const queue::Recipient& recipient : running.plan->recipients) {
            count += recipient.address.to_string() == mailbox ? 1U : 0U;
        }
    }
    return count;
}

void Scheduler::probe_if_due(const std::string& name, BackendWork& backend, const Now& now) {
    for (EndpointWork& work : backend.endpoints) {
        if (work.circuit.state() == Circuit::State::open && now.steady >= work.circuit.probe_at()) {
            work.circuit.probe_begins();
            host_.probe(name, work.endpoint);
        }
    }
}

}  // namespace postern::delivery
