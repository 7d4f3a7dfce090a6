// What becomes of a recipient after an attempt: replies into states.
#include <algorithm>
#include <utility>

#include "gateway/delivery/reply_kind.hpp"
#include "gateway/delivery/scheduler.hpp"
#include "queue/returning.hpp"

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

/// A transaction's size in usual ones: 256 KiB or ten recipients take about as long again.
double weight_of(const Plan& plan) {
    return 1 + static_cast<double>(plan.size) / (256 << 10) + static_cast<double>(plan.recipients.size()) / 10;
}

}  // namespace

void Scheduler::runs_in(std::uint64_t number, const std::string& tls) {
    if (const auto found = plans_.find(number); found != plans_.end()) {
        found->second.tls = tls;
    }
}

void Scheduler::outcome(std::uint64_t number, std::size_t slot, const lmtp_client::Outcome& outcome, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end() || slot >= found->second.plan->recipients.size()) {
        return;
    }
    const Plan& plan = *found->second.plan;
    queue::Recipient recipient = plan.recipients[slot];
    if (!outcome.peer.empty()) {
        found->second.peer = outcome.peer;
    }
    EndpointWork* const work = find_endpoint(plan.backend, plan.endpoint);
    if (work != nullptr && outcome.fate == Fate::replied) {
        work->progress_at = now.steady;
    }
    switch (outcome.fate) {
        case Fate::replied:
        case Fate::unable:
            if (outcome.reply.is_success()) {
                delivered(plan, std::move(recipient), outcome, now);
            } else if (outcome.reply.is_permanent() && !means_too_many(outcome.reply)) {
                failed(plan, std::move(recipient), outcome.reply, outcome.fate == Fate::replied, now);
            } else {
                deferred(plan, std::move(recipient), outcome.reply, now);
            }
            break;
        case Fate::unknown:
            unknown(plan, std::move(recipient), now);
            break;
        case Fate::not_tried:
            found->second.not_tried.push_back(slot);
            break;
    }
}

queue::Telling Scheduler::tell(const Plan& plan, queue::Notice notice, const Now& now) const {
    queue::Telling telling;
    telling.notice = notice;
    telling.at = now.wall;
    const auto backend = backends_.find(plan.backend);
    if (backend != backends_.end() && backend->second.options.is_elsewhere) {
        const std::string peer = peer_of(plan);
        telling.remote_mta = plan.domain.empty() ? plan.endpoint.host : peer.substr(0, peer.find('['));
    }
    return telling;
}

/// Who answered for the plan's endpoint; empty: itself, or nobody yet.
std::string Scheduler::peer_of(const Plan& plan) const {
    const auto running = plans_.find(plan.number);
    return running == plans_.end() ? std::string() : running->second.peer;
}

void Scheduler::delivered(const Plan& plan, queue::Recipient recipient, const lmtp_client::Outcome& outcome,
                          const Now& now) {
    ++recipient.attempts;
    recipient.state = RecipientState::delivered;
    recipient.last_reply = outcome.reply.to_string();
    std::optional<queue::Telling> telling;
    if (contains(recipient.dsn.notify, mail::DsnNotify::success) && !outcome.dsn_passed_on) {
        telling = tell(plan, queue::Notice::relayed, now);
    }
    settle(plan, recipient, "delivered", now, std::move(telling));
    BackendWork* const backend = find_backend(plan.backend);
    if (backend == nullptr) {
        return;
    }
    backend->brake.delivered(backend->options.brake, now.steady);
    if (backend->limits.empty() && backend->waiting.empty()) {
        return;
    }
    const std::string mailbox = recipient.address.to_string();
    backend->limits.worked(mailbox);
    if (const auto limit = backend->waiting.delivered(mailbox, now.steady)) {
        host_.call_waiting(plan.backend, mailbox, now.wall, *limit);
    }
}

void Scheduler::called(const std::string& name, const std::string& mailbox, std::size_t count, std::size_t limit) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return;
    }
    backend->waiting.called(mailbox, count, limit);
    if (count > 0) {
        backend->missing_somewhere();
    }
}

bool Scheduler::has_expired(queue::Instant received_at, const Now& now) {
    clock_jumps_.observe(now.wall, now.steady);
    return is_expired(options_.retry, received_at, clock_jumps_.lived_until(received_at, now.wall));
}

void Scheduler::deferred(const Plan& plan, queue::Recipient recipient, const Reply& reply, const Now& now) {
    ++recipient.attempts;
    recipient.last_reply = reply.code() == 0 ? reply.text() : reply.to_string();
    ReplyKind kind = reply_kind(reply);
    if (!plan.domain.empty() && (kind == ReplyKind::store || kind == ReplyKind::connection)) {
        kind = ReplyKind::other;  // the short curves of those are for stores of one's own, not for strangers
    }
    if (BackendWork* const backend = find_backend(plan.backend)) {
        const std::string mailbox = recipient.address.to_string();
        if (kind == ReplyKind::busy) {
            const std::uint32_t at_work = backend->limits.knows(mailbox) ? 0 : at_work_for(plan.backend, mailbox);
            backend->limits.refused(mailbox, at_work, plan.began, now.steady);
        }
        if (reply.code() != 0) {
            backend->waiting.deferred(mailbox, now.steady);
        } else {
            backend->waiting.waits(mailbox, now.steady);
        }
    }
    recipient.unknowns = 0;
    put_off(plan, std::move(recipient), kind, now);
}

void Scheduler::put_off(const Plan& plan, queue::Recipient recipient, ReplyKind kind, const Now& now) {
    const auto backend = backends_.find(plan.backend);
    const bool brakes = backend != backends_.end() && backend->second.brakes();
    if (!brakes && has_expired(plan.received_at, now)) {
        recipient.state = RecipientState::parked;
        queue::Telling telling = tell(plan, queue::Notice::failed, now);
        telling.expired = true;
        settle(plan, recipient, "expired", now, std::move(telling));
        return;
    }
    wait_for_next(plan, std::move(recipient), kind, now);
}

void Scheduler::wait_for_next(const Plan& plan, queue::Recipient recipient, ReplyKind kind, const Now& now) {
    recipient.state = RecipientState::waiting;
    const double chance = chance_of(plan.message, recipient.attempts);
    recipient.next_attempt_at =
        retry_at(now.wall, std::max(retry_delay(options_.retry, recipient.attempts, kind, chance), rest_of(plan, now)));
    std::optional<queue::Telling> telling;
    if (is_late(plan.received_at, recipient, now)) {
        telling = tell(plan, queue::Notice::delayed, now);
    }
    settle(plan, recipient, "deferred", now, std::move(telling));
}

void Scheduler::failed(const Plan& plan, queue::Recipient recipient, const Reply& reply, bool by_the_store,
                       const Now& now) {
    BackendWork* const backend = find_backend(plan.backend);
    if (backend != nullptr && by_the_store) {
        if (backend->brake.failed(backend->options.brake, recipient.address, now.steady)) {
            set_brake(plan.backend, *backend, backend->brake.describe(backend->options.brake), now);
        }
        if (backend->brakes()) {
            kept_by_brake(plan, std::move(recipient), reply, now);
            return;
        }
    }
    ++recipient.attempts;
    recipient.state = RecipientState::parked;
    recipient.failed = true;
    recipient.last_reply = reply.to_string();
    settle(plan, recipient, "failed", now, tell(plan, queue::Notice::failed, now));
}

void Scheduler::kept_by_brake(const Plan& plan, queue::Recipient recipient, const Reply& reply, const Now& now) {
    ++recipient.attempts;
    recipient.unknowns = 0;
    recipient.last_reply = "(kept by the brake) " + reply.to_string();
    if (BackendWork* const backend = find_backend(plan.backend)) {
        backend->waiting.deferred(recipient.address.to_string(), now.steady);
    }
    wait_for_next(plan, std::move(recipient), ReplyKind::other, now);
}

void Scheduler::unknown(const Plan& plan, queue::Recipient recipient, const Now& now) {
    ++recipient.unknowns;
    recipient.last_reply = "(the store did not answer for this recipient: perhaps delivered)";
    const bool too_often = recipient.unknowns >= unknowns_max;
    const auto backend = backends_.find(plan.backend);
    const bool is_elsewhere = backend != backends_.end() && backend->second.options.is_elsewhere;
    if (is_elsewhere && (too_often || has_expired(plan.received_at, now))) {
        // No operator here can mend a stranger's server. The count stays: each time may be a duplicate, so from now on
        // there are few.
        ++recipient.attempts;
        put_off(plan, std::move(recipient), ReplyKind::other, now);
        return;
    }
    if (too_often) {
        hold(plan, std::move(recipient),
             "(held: the store never answers for this recipient; perhaps delivered each time)", now);
        return;
    }
    recipient.state = RecipientState::unknown;
    const queue::Duration delay = recipient.unknowns == 1
                                      ? queue::Duration(first_unknown_delay)
                                      : retry_delay(options_.retry, recipient.unknowns - 1, ReplyKind::other,
                                                    chance_of(plan.message, recipient.unknowns));
    recipient.next_attempt_at = now.wall + delay;
    settle(plan, recipient, "unknown", now);
}

void Scheduler::not_tried(const Plan& plan, queue::Recipient recipient, bool charged, const Now& now) {
    Known& known = known_[Key{plan.message.value(), recipient.ordinal}];
    if (known.bounce) {
        settle(plan, recipient, "returned", now);
        return;
    }
    if (known.ordered) {
        return;  // the operator's state is recorded already
    }
    if (charged && ++known.not_tried > not_tried_max) {
        known.not_tried = 0;
        deferred(plan, std::move(recipient), Reply(0, "(left without an answer, time after time)"), now);
        return;
    }
    Batch batch;
    batch.message = plan.message;
    batch.received_at = plan.received_at;
    batch.size = plan.size;
    batch.fresh = plan.fresh;
    batch.recipients.push_back(std::move(recipient));
    follow_route(std::move(batch), Source::back);
}

void Scheduler::hold(const Plan& plan, queue::Recipient recipient, const std::string& why, const Now& now) {
    recipient.state = RecipientState::held;
    recipient.last_reply = why;
    settle(plan, recipient, "held", now);
}

void Scheduler::await_turn(queue::MessageId message, const queue::Recipient& recipient, queue::Instant due) {
    const auto route = route_of(recipient);
    BackendWork* const backend = route ? find_backend(*route) : nullptr;
    if (backend == nullptr) {
        return;
    }
    if (due <= backend->loaded_until) {
        backend->missing({due, message, recipient.ordinal});  // it was stepped over while it was in flight
    } else if (!backend->due_at || due < *backend->due_at) {
        backend->due_at = due;
    }
}

void Scheduler::settle(const Plan& plan, const queue::Recipient& recipient, const char* what, const Now& now,
                       std::optional<queue::Telling> telling) {
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
    const bool ordered = known != known_.end() && known->second.ordered.has_value();
    if (ordered && recipient.state != RecipientState::delivered) {
        // An operator has said otherwise meanwhile.
        update.state = *known->second.ordered;
        telling.reset();
        if (known->second.bounce) {
            queue::return_by_hand(update, recipient, *known->second.bounce, now.wall);
        }
    }
    queue::HistoryEvent event;
    event.at = now.wall;
    event.message = plan.message;
    event.ordinal = recipient.ordinal;
    event.event = what;
    event.recipient = recipient.address.to_string();
    event.backend = plan.backend;
    event.endpoint = plan.endpoint.to_string();
    if (const auto running = plans_.find(plan.number); running != plans_.end()) {
        event.tls = running->second.tls;
        if (!running->second.peer.empty()) {
            event.endpoint = running->second.peer;
        }
    }
    event.attempt = recipient.attempts;
    event.duration = std::chrono::duration_cast<queue::Duration>(now.steady - plan.began);
    event.reply = recipient.last_reply;
    event.actor = "gateway";
    event.session = plan.session();
    if (queue::is_schedulable(update.state)) {
        // A reload may have routed it elsewhere meanwhile, and reassign() has not seen this result.
        update.backend = stored_backend(recipient);
        if (known != known_.end() && known->second.place == Place::in_flight) {
            known->second.due = update.next_attempt_at;
        } else {
            await_turn(plan.message, recipient, update.next_attempt_at);
        }
    } else if (BackendWork* const backend = find_backend(plan.backend); !ordered && backend != nullptr) {
        backend->backlog -= std::min<std::uint64_t>(1, backend->backlog);
    }
    events_.recipient({what, plan.message, recipient, event.endpoint,
                       std::max(queue::Duration(0), now.wall - plan.received_at), event.duration, event.session});
    if (telling) {
        update.telling = std::move(telling);
    }
    // A success is recorded at once: the sooner, the fewer duplicates after a crash.
    if (plan.number != 0 && update.telling && update.telling->notice != queue::Notice::relayed) {
        host_.record_at_end(plan.number, std::move(update), std::move(event));
    } else {
        host_.record(std::move(update), std::move(event));
    }
}

void Scheduler::transaction_ended(std::uint64_t number, Trouble trouble, const std::string& detail, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const std::shared_ptr<const Plan> plan = found->second.plan;
    const std::vector<std::size_t> slots = std::exchange(found->second.not_tried, {});
    // The circuit first: what goes back into the line finds its new home there.
    if (EndpointWork* const work = find_endpoint(plan->backend, plan->endpoint)) {
        charge(*plan, *work, trouble, detail, now);
    }
    BackendWork* const backend = find_backend(plan->backend);
    if (backend != nullptr && !plan->domain.empty()) {
        backend->destinations.ended(plan->domain, trouble, detail, now.steady);
    }
    for (const std::size_t slot : slots) {
        // Without trouble the store took others and had enough of them: that is nobody's fault.
        const bool charged = trouble != Trouble::none && !is_surely_the_endpoint(trouble);
        not_tried(*plan, plan->recipients[slot], charged, now);
    }
}

void Scheduler::charge(const Plan& plan, EndpointWork& work, Trouble trouble, const std::string& detail,
                       const Now& now) {
    BackendEvent event;
    event.backend = plan.backend;
    event.endpoint = work.name;
    if (trouble == Trouble::none) {
        work.circuit.worked(now.steady);
        work.concurrency.worked(plan.began, now.steady, weight_of(plan));
        work.last_error.clear();
        work.progress_at = now.steady;
        if (work.step.kept()) {
            event.kind = BackendEvent::Kind::in_step;
            events_.backend(event);
        }
        return;
    }
    work.last_error = detail;
    work.last_error_at = now.wall;
    if (trouble == Trouble::content) {
        return;  // ours
    }
    work.progress_at = now.steady;
    work.concurrency.failed(plan.began, now.steady);
    if (trouble == Trouble::protocol && work.step.lost()) {
        event.kind = BackendEvent::Kind::out_of_step;
        event.reason = detail;
        events_.backend(event);
    }
    const std::uint32_t others = work.in_flight > 0 ? work.in_flight - 1 : 0;
    const bool is_relapse = work.down_from && !work.circuit.is_proven();
    if (work.circuit.failed(trouble, others, now.steady)) {
        work.down_from = is_relapse ? work.down_from : now.wall;
        work.since = work.down_from;
        events_.endpoint_down(plan.backend, work.name, detail);
        find_backend(plan.backend)->find_homes_anew();
    }
}

void Scheduler::release(std::uint64_t number) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const std::shared_ptr<const Plan> plan = found->second.plan;
    plans_.erase(found);
    BackendWork* const backend = find_backend(plan->backend);
    for (const queue::Recipient& recipient : plan->recipients) {
        const auto known = known_.find(Key{plan->message.value(), recipient.ordinal});
        if (known != known_.end() && known->second.place == Place::in_flight && known->second.plan == number) {
            const auto due = known->second.due;
            known_.erase(known);
            if (due) {
                await_turn(plan->message, recipient, *due);
            }
        }
        if (backend != nullptr && !(backend->limits.empty() && backend->blocked.empty())) {
            const std::string mailbox = recipient.address.to_string();
            backend->limits.ended(mailbox);
            unblock(*backend, mailbox);
            unblock(*backend, mailbox);  // the limit may have grown
        }
    }
    if (backend != nullptr && !plan->domain.empty()) {
        backend->destinations.released(plan->domain);
    }
    if (EndpointWork* const work = place_of(*plan)) {
        work->ended(plan->began);
    }
}

void Scheduler::unreadable(std::uint64_t number, Unreadable why, const std::string& detail, const Now& now) {
    const auto found = plans_.find(number);
    if (found == plans_.end()) {
        return;
    }
    const std::shared_ptr<const Plan> plan = found->second.plan;
    if (why == Unreadable::damaged) {
        events_.damaged(plan->message, detail);
        for (const queue::Recipient& recipient : plan->recipients) {
            hold(*plan, recipient, "(held: the message is damaged in the queue: " + detail + ')', now);
        }
    } else if (why == Unreadable::later) {
        if (BackendWork* const backend = find_backend(plan->backend)) {
            backend->missing_somewhere();
            backend->load_again = now.steady + load_pause;
        }
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
        work->concurrency.restart();
        work->well_since = now.steady;
        work->left_over = work->in_flight;
        work->last_error.clear();
        work->since = now.wall;
        events_.endpoint_up(name, work->name);
        find_backend(name)->find_homes_anew();
    } else {
        work->circuit.probe_failed(now.steady);
        work->last_error = detail;
        work->last_error_at = now.wall;
    }
}

}  // namespace postern::delivery
