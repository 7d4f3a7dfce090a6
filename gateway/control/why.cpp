#include "gateway/control/why.hpp"

namespace postern::control {
namespace {

using queue::RecipientState;

void explain(const queue::Recipient& recipient, queue::Instant now, WhyView& why) {
    if (recipient.state == RecipientState::held) {
        why.waits_for = "release";
        why.text = "it is held";
        why.remedy = "postern queue release";
    } else if (recipient.state == RecipientState::parked) {
        why.waits_for = "report";
        why.text = recipient.failed ? "a store refused it for good, and nobody was told yet"
                                    : "it expired, and nobody was told yet";
        why.remedy = "postern queue release to try it again, postern queue remove to give it up";
    } else if (recipient.next_attempt_at > now) {
        why.waits_for = "next_attempt";
        why.until = recipient.next_attempt_at;
        why.text = "it waits for its next attempt, and for the gateway, which is not running";
        why.remedy = "start the gateway; postern queue retry to have it tried then without waiting";
    } else {
        why.waits_for = "gateway";
        why.text = "it is due, and waits for the gateway, which is not running";
        why.remedy = "start the gateway";
    }
}

}  // namespace

std::vector<WhyView> why_from_queue(const queue::QueuedMessage& message, queue::Instant now) {
    std::vector<WhyView> all;
    for (const queue::Recipient& recipient : message.recipients) {
        if (queue::is_done(recipient.state)) {
            continue;
        }
        WhyView& why = all.emplace_back();
        why.ordinal = recipient.ordinal;
        why.recipient = recipient.address.to_string();
        why.state = recipient.state;
        why.backend = recipient.backend;
        why.reply = recipient.last_reply;
        explain(recipient, now, why);
    }
    return all;
}

}  // namespace postern::control
