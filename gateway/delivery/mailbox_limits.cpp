#include "gateway/delivery/mailbox_limits.hpp"

#include <algorithm>

namespace postern::delivery {

namespace {

constexpr std::size_t mailboxes_max = 10'000;
constexpr std::uint32_t forget_at = 100;
constexpr std::chrono::minutes forget_after{10};

}  // namespace

bool MailboxLimits::has_room(const std::string& mailbox) const {
    const auto found = limits_.find(mailbox);
    return found == limits_.end() || found->second.at_work < found->second.allowed;
}

std::uint32_t MailboxLimits::limit(const std::string& mailbox) const {
    const auto found = limits_.find(mailbox);
    return found == limits_.end() ? 0 : found->second.allowed;
}

void MailboxLimits::began(const std::string& mailbox) {
    const auto found = limits_.find(mailbox);
    if (found != limits_.end()) {
        ++found->second.at_work;
    }
}

void MailboxLimits::ended(const std::string& mailbox) {
    const auto found = limits_.find(mailbox);
    if (found != limits_.end() && found->second.at_work > 0) {
        --found->second.at_work;
    }
}

void MailboxLimits::worked(const std::string& mailbox) {
    const auto found = limits_.find(mailbox);
    if (found == limits_.end() || ++found->second.successes < found->second.allowed) {
        return;
    }
    found->second.successes = 0;
    ++found->second.allowed;
}

void MailboxLimits::refused(const std::string& mailbox, std::uint32_t at_work, queue::SteadyInstant began,
                            queue::SteadyInstant now) {
    const auto found = limits_.find(mailbox);
    if (found == limits_.end()) {
        if (limits_.size() < mailboxes_max) {
            limits_.emplace(mailbox, Limit{std::max<std::uint32_t>(1, at_work / 2), at_work, 0, now});
        }
        return;
    }
    Limit& limit = found->second;
    limit.successes = 0;
    if (began >= limit.lowered) {
        limit.lowered = now;
        limit.allowed = std::max<std::uint32_t>(1, std::min(limit.allowed, limit.at_work) / 2);
    }
}

void MailboxLimits::tidy(queue::SteadyInstant now) {
    std::erase_if(limits_, [now](const auto& entry) {
        const Limit& limit = entry.second;
        return limit.at_work == 0 && (limit.allowed >= forget_at || now - limit.lowered >= forget_after);
    });
}

}  // namespace postern::delivery
