#include "gateway/control/why.hpp"

#include <algorithm>

namespace postern::control {
namespace {

using queue::RecipientState;

void explain(const queue::Recipient& recipient, const queue::BackendMark* pause, queue::Instant now, WhyView& why) {
    if (recipient.state == RecipientState::held) {
        why.waits_for = "release";
        why.text = "it is held";
        why.remedy = "postern queue release";
    } else if (recipient.state == RecipientState::parked) {
        why.waits_for = "report";
        why.text = recipient.failed ? "a store refused it for good, and its sender may not be told"
                                    : "it expired, and its sender may not be told";
        why.remedy =
            "postern queue release to try it again, postern queue bounce to return it to its sender all the same, "
            "postern queue remove to give it up";
    } else if (pause != nullptr) {
        why.waits_for = "resume";
        why.since = pause->at;
        why.actor = pause->actor;
        why.text = "deliveries to the backend are paused by an operator" +
                   (pause->reason.empty() ? "" : ": " + pause->reason) + "; and the gateway is not running";
        why.remedy = "postern backend resume " + pause->backend + ", and start the gateway";
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

std::vector<WhyView> why_from_queue(const queue::QueuedMessage& message, const std::vector<queue::BackendMark>& marks,
                                    queue::Instant now) {
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
        const auto pause = std::find_if(marks.begin(), marks.end(), [&recipient](const queue::BackendMark& mark) {
            return mark.kind == queue::BackendMark::Kind::paused && mark.backend == recipient.backend;
        });
        explain(recipient, pause == marks.end() ? nullptr : &*pause, now, why);
    }
    return all;
}

}  // namespace postern::control
