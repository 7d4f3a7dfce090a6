// How many transactions a mailbox gets at once, learned from the store's refusals (ReplyKind::busy). Pure.
//
// A mailbox that was never refused has no limit and no entry. A refusal halves what was at work for it, once a round;
// as many successes as the limit raise it by one; a limit that has grown to `forget_at` or was not met for
// `forget_after` is forgotten. At most `mailboxes_max` are remembered: what is beyond learns nothing, and is only
// retried.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "queue/time.hpp"

namespace postern::delivery {

class MailboxLimits {
public:
    [[nodiscard]] bool empty() const noexcept { return limits_.empty(); }
    [[nodiscard]] bool knows(const std::string& mailbox) const { return limits_.count(mailbox) != 0; }
    /// One more may begin now.
    [[nodiscard]] bool has_room(const std::string& mailbox) const;
    /// 0: no limit.
    [[nodiscard]] std::uint32_t limit(const std::string& mailbox) const;

    // A transaction for the mailbox begins and is over. Without an entry, nothing.
    void began(const std::string& mailbox);
    void ended(const std::string& mailbox);

    void worked(const std::string& mailbox);
    /// Refused as busy. `at_work`: transactions for it at work now, the refused one included (needed once, when there
    /// is no entry yet). `began`: when the refused one did.
    void refused(const std::string& mailbox, std::uint32_t at_work, queue::SteadyInstant began,
                 queue::SteadyInstant now);
    /// Forgets what was not met for long. Now and then.
    void tidy(queue::SteadyInstant now);

private:
    struct Limit {
        std::uint32_t allowed = 1;
        std::uint32_t at_work = 0;
        std::uint32_t successes = 0;
        queue::SteadyInstant lowered{};
    };
    std::unordered_map<std::string, Limit> limits_;
};

}  // namespace postern::delivery
