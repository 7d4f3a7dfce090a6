// What operators want: of recipients, in flight or not, and of backends.
#include <utility>

#include "gateway/delivery/scheduler.hpp"
#include "queue/returning.hpp"

namespace postern::delivery {

using queue::RecipientState;

namespace {

std::string_view event_of(Order order) {
    switch (order) {
        case Order::retry:
            return "retried";
        case Order::hold:
            return "held";
        case Order::release:
            return "released";
        case Order::remove:
            return "removed";
        case Order::bounce:
            return "returned";
    }
    return "retried";
}

bool is_possible(Order order, RecipientState state) {
    switch (order) {
        case Order::retry:
            return queue::is_schedulable(state);
        case Order::hold:
            return queue::is_schedulable(state) || state == RecipientState::parked;
        case Order::release:
            return state == RecipientState::held || state == RecipientState::parked;
        case Order::remove:
        case Order::bounce:
            return !queue::is_done(state);
    }
    return false;
}

/// A retry changes the time alone, as a call of waiting mail does: what was deferred stays `waiting`, and `unknown`
/// says that it may be a duplicate. It also spares the index of what waits: of a large backlog that is half the
/// writing.
RecipientState state_after(Order order, RecipientState before) {
    switch (order) {
        case Order::hold:
            return RecipientState::held;
        case Order::remove:
            return RecipientState::removed;
        case Order::bounce:
            return RecipientState::parked;  // unless it can be returned
        case Order::retry:
            return before;
        case Order::release:
            break;
    }
    return RecipientState::ready;
}

}  // namespace

bool Scheduler::order(Order order, queue::MessageId message, const queue::Recipient& recipient,
                      const std::string& actor, const Now& now, const std::string& reason) {
    if (!is_possible(order, recipient.state)) {
        return false;
    }
    queue::RecipientUpdate update;
    update.message = message;
    update.ordinal = recipient.ordinal;
    update.attempts = recipient.attempts;
    update.unknowns = order == Order::release ? 0 : recipient.unknowns;
    update.next_attempt_at = now.wall;
    update.last_reply = recipient.last_reply;
    update.failed = false;
    update.state = state_after(order, recipient.state);
    // It may have been held for longer than its route lasted; without one it waits under no backend.
    const bool go_on = queue::is_schedulable(update.state);
    update.backend = recipient.backend;
    if (go_on) {
        update.backend = stored_backend(recipient);
    }
    queue::HistoryEvent event;
    event.at = now.wall;
    event.message = message;
    event.ordinal = recipient.ordinal;
    event.event = event_of(order);
    event.recipient = recipient.address.to_string();
    event.backend = update.backend;
    event.attempt = recipient.attempts;
    event.reply = reason;
    event.actor = actor;

    const auto known = known_.find(Key{message.value(), recipient.ordinal});
    const bool in_flight = known != known_.end() && known->second.place == Place::in_flight;
    if (order == Order::bounce && in_flight) {
        // A store has it in hand, and may take it yet: until that is known it is held.
        update.state = RecipientState::held;
        update.last_reply = "(held: to be returned by the operator once its delivery has ended)";
    } else if (order == Order::bounce) {
        queue::return_by_hand(update, recipient, reason, now.wall);
    }
    if (in_flight) {
        known->second.bounce = order == Order::bounce ? std::optional(reason) : std::nullopt;
        known->second.ordered = go_on ? std::nullopt : std::optional(update.state);
        known->second.due = go_on ? std::optional(now.wall) : std::nullopt;
    } else if (known != known_.end()) {
        known->second.place = go_on ? Place::queued : Place::withdrawn;
    }
    if (!in_flight && !go_on) {
        keep_out_of_loads(message, recipient.ordinal);
    }
    BackendWork* const backend = find_backend(update.backend);
    if (backend != nullptr) {
        const bool counted = queue::is_schedulable(recipient.state);
        if (go_on && !counted) {
            ++backend->backlog;
        } else if (!go_on && counted && backend->backlog > 0) {
            --backend->backlog;
        }
    }
    host_.record(std::move(update), std::move(event));
    if (go_on && backend != nullptr) {
        backend->missing_somewhere();
        backend->destinations.hurry(destination_of(recipient), now.steady);
        for (EndpointWork& work : backend->endpoints) {
            work.circuit.hurry(now.steady);
        }
    }
    return true;
}

Scheduler::Ordered Scheduler::order(BackendOrder order, const std::string& name, const std::string& actor,
                                    const std::string& reason, const Now& now) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return Ordered::unknown_backend;
    }
    const bool about_pause = order != BackendOrder::release_brake;
    const bool set = order == BackendOrder::pause;
    std::optional<Decision>& decision = about_pause ? backend->paused : backend->braked;
    if (decision.has_value() == set) {
        return Ordered::nothing_to_do;
    }
    queue::BackendMark mark;
    mark.backend = name;
    mark.kind = about_pause ? queue::BackendMark::Kind::paused : queue::BackendMark::Kind::brake;
    mark.at = now.wall;
    mark.actor = actor;
    mark.reason = reason;
    BackendEvent event;
    event.backend = name;
    event.actor = actor;
    event.reason = reason;
    if (set) {
        decision = Decision{now.wall, actor, reason};
        marks_[name][mark.kind] = *decision;
        event.kind = BackendEvent::Kind::paused;
    } else {
        decision.reset();
        marks_[name].erase(mark.kind);
        event.kind = about_pause ? BackendEvent::Kind::resumed : BackendEvent::Kind::brake_off;
        if (!about_pause) {
            backend->brake.release();
        }
        for (EndpointWork& work : backend->endpoints) {
            work.circuit.hurry(now.steady);
        }
    }
    host_.mark(std::move(mark), set);
    events_.backend(event);
    return Ordered::done;
}

bool Scheduler::hurry(const std::string& name, const Now& now) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return false;
    }
    backend->destinations.hurry_all(now.steady);
    for (EndpointWork& work : backend->endpoints) {
        work.circuit.hurry(now.steady);
    }
    return true;
}

void Scheduler::set_brake(const std::string& name, BackendWork& backend, const std::string& why, const Now& now) {
    queue::BackendMark mark;
    mark.backend = name;
    mark.kind = queue::BackendMark::Kind::brake;
    mark.at = now.wall;
    mark.actor = "gateway";
    mark.reason = why;
    backend.braked = Decision{now.wall, "gateway", why};
    marks_[name][mark.kind] = *backend.braked;
    host_.mark(std::move(mark), true);
    BackendEvent event;
    event.kind = BackendEvent::Kind::brake_on;
    event.backend = name;
    event.actor = "gateway";
    event.reason = why;
    events_.backend(event);
}

}  // namespace postern::delivery
