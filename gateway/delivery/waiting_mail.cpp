#include "gateway/delivery/waiting_mail.hpp"

#include <algorithm>

namespace postern::delivery {

namespace {

constexpr std::size_t waiting_mailboxes_max = 10'000;
constexpr std::size_t first_call = 10;
constexpr std::size_t call_max = 1000;
constexpr queue::Duration call_pause_min{1000};
constexpr queue::Duration call_pause_max{300'000};

}  // namespace

void WaitingMail::waits(const std::string& mailbox, queue::SteadyInstant now) {
    if (mailboxes_.size() >= waiting_mailboxes_max && mailboxes_.count(mailbox) == 0) {
        mailboxes_.erase(mailboxes_.begin());
    }
    mailboxes_.emplace(mailbox, Mailbox{false, false, first_call, queue::Duration(0), now});
}

void WaitingMail::deferred(const std::string& mailbox, queue::SteadyInstant now) {
    waits(mailbox, now);
    Mailbox& known = mailboxes_.at(mailbox);
    known.next_call = first_call;
    if (known.has_called) {
        known.has_called = false;
        known.pause = std::clamp(known.pause * 2, call_pause_min, call_pause_max);
        known.not_before = now + known.pause;
    }
}

std::optional<std::size_t> WaitingMail::delivered(const std::string& mailbox, queue::SteadyInstant now) {
    const auto found = mailboxes_.find(mailbox);
    if (found == mailboxes_.end() || found->second.calling || now < found->second.not_before) {
        return std::nullopt;
    }
    Mailbox& known = found->second;
    const std::size_t limit = known.next_call;
    known.calling = true;
    known.has_called = true;
    known.next_call = std::min(call_max, limit * 2);
    return limit;
}

void WaitingMail::called(const std::string& mailbox, std::size_t called, std::size_t limit) {
    const auto found = mailboxes_.find(mailbox);
    if (found == mailboxes_.end()) {
        return;
    }
    found->second.calling = false;
    // What was called may be refused again: then its pause must be known. So it is forgotten only once nothing came.
    if (called == 0 && limit > 0) {
        mailboxes_.erase(found);
    }
}

}  // namespace postern::delivery
