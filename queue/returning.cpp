#include "queue/returning.hpp"

#include <string_view>

namespace postern::queue {

namespace {

constexpr std::string_view returned_by_hand = "(returned by the operator";

}  // namespace

void return_by_hand(RecipientUpdate& update, const Recipient& recipient, const std::string& reason, Instant at) {
    Telling& telling = update.telling.emplace();
    telling.at = at;
    telling.by_hand = true;
    update.state = RecipientState::parked;
    const bool again = recipient.last_reply.starts_with(returned_by_hand);  // there was no way to its sender
    if (recipient.state == RecipientState::parked && !again) {
        telling.expired = !recipient.failed;
        update.failed = recipient.failed;
    } else {
        update.last_reply = std::string(returned_by_hand) + (reason.empty() ? ")" : ": " + reason + ')');
    }
}

}  // namespace postern::queue
