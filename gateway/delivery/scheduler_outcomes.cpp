// What becomes of a recipient after an attempt: the half of the scheduler that turns replies into states.
#include <algorithm>
#include <utility>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery {

using lmtp_client::Fate;
using lmtp_client::Trouble;
using mail::EnhancedStatus;
using mail::Reply;
using queue::RecipientState;

namespace {

constexpr std::uint32_t unknowns_max = 5;
constexpr std::uint8_t not_tried_max = 3;
constexpr std::chrono::seconds first_unknown_delay{1};

/// From 0 to 1, the same for all recipients of a message in the same attempt: what was deferred together stays one
/// transaction.
double chance_of(queue::MessageId message, std::uint32_t attempts) {
    auto mixed = static_cast<std::uint64_t>(message.value()) + attempts * 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<double>((mixed ^ (mixed >> 31)) >> 11) * 0x1.0p-53;
}

/// "Too many recipients" with the code of old (RFC 5321 section 4.5.3.1.10): no verdict about this one.
bool means_too_many(const Reply& reply) { return reply.code() == 552 && reply.status() == EnhancedStatus(5, 5, 3); }

}  // namespace

void Scheduler::outcome(std::uint64_t number, std::size_t slot, const lmtp_client::Outcome& outcome, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end() || slot >= found->second->recipients.size()) {
        return;
    }
    const Plan& plan = *found->second;
    queue::Recipient recipient = plan.recipients[slot];
    switch (outcome.fate) {
        case Fate::replied:
        case Fate::unable:
            if (outcome.reply.is_success()) {
                delivered(plan, std::move(recipient), outcome.reply, now);
            } else if (outcome.reply.is_permanent() && !means_too_many(outcome.reply)) {
                failed(plan, std::move(recipient), outcome.reply, now);
            } else {
                deferred(plan, std::move(recipient), outcome.reply, now);
            }
            break;
        case Fate::unknown:
            unknown(plan, std::move(recipient), now);
            break;
        case Fate::not_tried:
            not_tried(plan, std::move(recipient), now);
            break;
    }
}

void Scheduler::delivered(const Plan& plan, queue::Recipient recipient, const Reply& reply, const Now& now) {
    ++recipient.attempts;
    recipient.state = RecipientState::delivered;
    recipient.last_reply = reply.to_string();
    settle(plan, recipient, "delivered", now);
}

void Scheduler::deferred(const Plan& plan, queue::Recipient recipient, const Reply& reply, const Now& now) {
    ++recipient.attempts;
    recipient.last_reply = reply.to_string();
    if (is_expired(options_.retry, plan.received_at, now.wall)) {
        recipient.state = RecipientState::parked;
        settle(plan, recipient, "expired", now);
        return;
    }
    recipient.state = RecipientState::waiting;
    recipient.unknowns = 0;
    recipient.next_attempt_at =
        now.wall + retry_delay(options_.retry, recipient.attempts, reply, chance_of(plan.message, recipient.attempts));
    settle(plan, recipient, "deferred", now);
}

void Scheduler::failed(const Plan& plan, queue::Recipient recipient, const Reply& reply, const Now& now) {
    ++recipient.attempts;
    recipient.state = RecipientState::parked;
    recipient.failed = true;
    recipient.last_reply = reply.to_string();
    settle(plan, recipient, "failed", now);
}

void Scheduler::unknown(const Plan& plan, queue::Recipient recipient, const Now& now) {
    ++recipient.unknowns;
    recipient.last_reply = "(the store did not answer for this recipient: perhaps delivered)";
    if (recipient.unknowns >= unknowns_max) {
        hold(plan, std::move(recipient),
             "(held: the store never answers for this recipient; perhaps delivered each time)", now);
        return;
    }
    recipient.state = RecipientState::unknown;
    const queue::Duration delay = recipient.unknowns == 1 ? queue::Duration(first_unknown_delay)
                                                          : retry_delay(options_.retry, recipient.unknowns, Reply(),
                                                                        chance_of(plan.message, recipient.unknowns));
    recipient.next_attempt_at = now.wall + delay;
    settle(plan, recipient, "unknown", now);
}

void Scheduler::not_tried(const Plan& plan, queue::Recipient recipient, const Now& now) {
    Known& known = known_[Key{plan.message.value(), recipient.ordinal}];
    if (known.ordered) {
        return;  // the operator's state is recorded already
    }
    if (++known.not_tried > not_tried_max) {
        known.not_tried = 0;
        deferred(plan, std::move(recipient),
                 Reply(451, EnhancedStatus(4, 4, 2), "(the store broke off before it answered, time after time)"), now);
        return;
    }
    Batch batch;
    batch.message = plan.message;
    batch.received_at = plan.received_at;
    batch.fresh = plan.fresh;
    const auto backend = backends_.find(plan.backend);
    const bool joins = backend != backends_.end() && !backend->second.ready.empty() &&
                       backend->second.ready.back().message == plan.message;
    if (joins) {
        // Its neighbours of the same transaction came back a moment ago: they go out together again.
        known.place = Place::queued;
        backend->second.ready.back().recipients.push_back(std::move(recipient));
        ++backend->second.queued;
        return;
    }
    batch.recipients.push_back(std::move(recipient));
    add(plan.backend, std::move(batch));
}

void Scheduler::hold(const Plan& plan, queue::Recipient recipient, const std::string& why, const Now& now) {
    recipient.state = RecipientState::held;
    recipient.last_reply = why;
    settle(plan, recipient, "held", now);
}

void Scheduler::settle(const Plan& plan, const queue::Recipient& recipient, const char* what, const Now& now) {
    queue::RecipientUpdate update;
    update.message = plan.message;
    update.ordinal = recipient.ordinal;
    update.state = recipient.state;
    update.attempts = recipient.attempts;
    update.unknowns = recipient.unknowns;
    update.next_attempt_at = recipient.next_attempt_at;
    update.backend = plan.backend;
    update.last_reply = recipient.last_reply;
    update.failed = recipient.failed;
    const auto known = known_.find(Key{plan.message.value(), recipient.ordinal});
    if (known != known_.end() && known->second.ordered && recipient.state != RecipientState::delivered) {
        update.state = *known->second.ordered;  // an operator has said otherwise meanwhile
    }
    queue::HistoryEvent event;
    event.at = now.wall;
    event.message = plan.message;
    event.ordinal = recipient.ordinal;
    event.event = what;
    event.recipient = recipient.address.to_string();
    event.backend = plan.backend;
    event.endpoint = plan.endpoint.to_string();
    event.attempt = recipient.attempts;
    event.duration = std::chrono::duration_cast<queue::Duration>(now.steady - plan.began);
    event.reply = recipient.last_reply;
    event.actor = "gateway";
    if (queue::is_schedulable(update.state)) {
        const auto backend = backends_.find(plan.backend);
        if (backend != backends_.end() &&
            (!backend->second.due_at || update.next_attempt_at < *backend->second.due_at)) {
            backend->second.due_at = update.next_attempt_at;
        }
    }
    events_.recipient({what, plan.message, recipient, event.endpoint,
                       std::max(queue::Duration(0), now.wall - plan.received_at), event.duration});
    host_.record(std::move(update), std::move(event));
}

void Scheduler::transaction_ended(std::uint64_t number, Trouble trouble, const std::string& detail, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const Plan& plan = *found->second;
    EndpointWork* const work = find_endpoint(plan.backend, plan.endpoint);
    if (work == nullptr) {
        return;
    }
    if (trouble == Trouble::none) {
        work->circuit.worked();
        work->one_by_one = false;
        work->last_error.clear();
        return;
    }
    work->last_error = detail;
    work->one_by_one = work->one_by_one || trouble == Trouble::protocol;
    if (work->circuit.failed(trouble, now.steady)) {
        events_.endpoint_down(plan.backend, plan.endpoint.to_string(), detail);
    }
}

void Scheduler::release(std::uint64_t number) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const Plan& plan = *found->second;
    for (const queue::Recipient& recipient : plan.recipients) {
        const auto known = known_.find(Key{plan.message.value(), recipient.ordinal});
        if (known != known_.end() && known->second.place == Place::in_flight && known->second.plan == number) {
            known_.erase(known);
        }
    }
    EndpointWork* const work = find_endpoint(plan.backend, plan.endpoint);
    if (work != nullptr && work->in_flight > 0) {
        --work->in_flight;
    }
    plans_.erase(found);
}

void Scheduler::unreadable(std::uint64_t number, Unreadable why, const std::string& detail, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const Plan& plan = *found->second;
    if (why == Unreadable::damaged) {
        events_.damaged(plan.message, detail);
        for (const queue::Recipient& recipient : plan.recipients) {
            hold(plan, recipient, "(held: the message is damaged in the queue: " + detail + ')', now);
        }
    } else if (why == Unreadable::later) {
        load_failed(plan.backend, now);
    }
}

void Scheduler::probe_ended(const std::string& name, const lmtp_client::Endpoint& endpoint, bool worked,
                            const std::string& detail, const Now& now) {
    EndpointWork* const work = find_endpoint(name, endpoint);
    if (work == nullptr || work->circuit.state() != Circuit::State::probing) {
        return;
    }
    if (worked) {
        work->circuit.probe_worked();
        work->last_error.clear();
        events_.endpoint_up(name, endpoint.to_string());
    } else {
        work->circuit.probe_failed(now.steady);
        work->last_error = detail;
    }
}

void Scheduler::park_expired(const std::string& name, Backend& backend, const Now& now) {
    const bool some_well =
        std::any_of(backend.endpoints.begin(), backend.endpoints.end(),
                    [](const EndpointWork& work) { return work.circuit.state() == Circuit::State::closed; });
    if (some_well) {
        return;  // they are tried first, and expire on what the store says
    }
    for (Batch& batch : backend.ready) {
        if (!is_expired(options_.retry, batch.received_at, now.wall)) {
            continue;
        }
        Plan plan;
        plan.backend = name;
        plan.endpoint = backend.endpoints.front().endpoint;
        plan.message = batch.message;
        plan.received_at = batch.received_at;
        plan.began = now.steady;
        for (queue::Recipient recipient : batch.recipients) {
            const auto known = known_.find(Key{batch.message.value(), recipient.ordinal});
            if (known == known_.end() || known->second.place != Place::queued) {
                continue;
            }
            known->second.place = Place::withdrawn;
            recipient.state = RecipientState::parked;
            recipient.last_reply =
                "(expired: the store could not be reached: " + backend.endpoints.front().last_error + ')';
            settle(plan, recipient, "expired", now);
        }
    }
}

}  // namespace postern::delivery
