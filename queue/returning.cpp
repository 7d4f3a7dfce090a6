#include "queue/returning.hpp"

namespace postern::queue {

void return_by_hand(RecipientUpdate& update, const Recipient& recipient, const std::string& reason, Instant at) {
    Telling& telling = update.telling.emplace();
    telling.at = at;
    telling.by_hand = true;
    update.state = RecipientState::parked;
    if (recipient.state == RecipientState::parked) {
        telling.expired = !recipient.failed;
        update.failed = recipient.failed;
    } else {
        update.last_reply =
            reason.empty() ? "(returned by the operator)" : "(returned by the operator: " + reason + ')';
    }
}

}  // namespace postern::queue
