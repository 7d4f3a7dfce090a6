#include "gateway/control/verb.hpp"

#include <algorithm>

#include "queue/returning.hpp"

namespace postern::control {

using queue::RecipientState;

std::string_view to_string(Verb verb) {
    switch (verb) {
        case Verb::retry:
            return "retry";
        case Verb::hold:
            return "hold";
        case Verb::release:
            return "release";
        case Verb::remove:
            return "remove";
        case Verb::bounce:
            return "bounce";
    }
    return "";
}

std::optional<Verb> parse_verb(std::string_view text) {
    for (const Verb verb : {Verb::retry, Verb::hold, Verb::release, Verb::remove, Verb::bounce}) {
        if (to_string(verb) == text) {
            return verb;
        }
    }
    return std::nullopt;
}

std::string_view event_name(Verb verb) {
    switch (verb) {
        case Verb::retry:
            return "retried";
        case Verb::hold:
            return "held";
        case Verb::release:
            return "released";
        case Verb::remove:
            return "removed";
        case Verb::bounce:
            return "returned";
    }
    return "";
}

const std::vector<RecipientState>& source_states(Verb verb) {
    static const std::vector<RecipientState> retry{RecipientState::ready, RecipientState::waiting,
                                                   RecipientState::unknown};
    static const std::vector<RecipientState> hold{RecipientState::ready, RecipientState::waiting,
                                                  RecipientState::unknown, RecipientState::parked};
    static const std::vector<RecipientState> release{RecipientState::held, RecipientState::parked};
    static const std::vector<RecipientState> remove{RecipientState::ready, RecipientState::waiting,
                                                    RecipientState::unknown, RecipientState::held,
                                                    RecipientState::parked};
    switch (verb) {
        case Verb::retry:
            return retry;
        case Verb::hold:
            return hold;
        case Verb::release:
            return release;
        case Verb::remove:
        case Verb::bounce:
            break;
    }
    return remove;
}

bool applies(Verb verb, RecipientState state) {
    const auto& states = source_states(verb);
    return std::find(states.begin(), states.end(), state) != states.end();
}

queue::RecipientUpdate update_for(Verb verb, queue::MessageId message, const queue::Recipient& recipient,
                                  queue::Instant now, const std::string& reason) {
    queue::RecipientUpdate update;
    update.message = message;
    update.ordinal = recipient.ordinal;
    update.attempts = recipient.attempts;
    update.unknowns = recipient.unknowns;
    update.backend = recipient.backend;
    update.last_reply = recipient.last_reply;
    update.next_attempt_at = now;
    switch (verb) {
        case Verb::retry:
            update.state = recipient.state;
            break;
        case Verb::release:
            update.unknowns = 0;  // they count towards being held for good; who was released on purpose starts anew
            update.state = RecipientState::ready;
            break;
        case Verb::hold:
            update.state = RecipientState::held;
            update.failed = recipient.failed;
            break;
        case Verb::remove:
            update.state = RecipientState::removed;
            update.failed = recipient.failed;
            break;
        case Verb::bounce:
            queue::return_by_hand(update, recipient, reason, now);
            break;
    }
    return update;
}

}  // namespace postern::control
