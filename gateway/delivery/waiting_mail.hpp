// Which mailboxes are believed to have mail that waits, so that a success for one of them calls that mail early. Pure.
//
// Only what was deferred since the start is known here, and of at most `mailboxes_max` mailboxes: what is forgotten
// waits for its own time. A mailbox that takes small messages and refuses large ones must not be tried with all its
// large ones at each small one: the first call is for a few, each that goes well for twice as many; and after each
// call that was answered by a refusal the next one waits twice as long.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "queue/time.hpp"

namespace postern::delivery {

class WaitingMail {
public:
    [[nodiscard]] bool empty() const noexcept { return mailboxes_.empty(); }

    /// There is mail for it that waits.
    void waits(const std::string& mailbox, queue::SteadyInstant now);
    /// Mail for it was deferred by the store.
    void deferred(const std::string& mailbox, queue::SteadyInstant now);
    /// Mail for it was delivered. A number: call at most so many of what waits, now.
    [[nodiscard]] std::optional<std::size_t> delivered(const std::string& mailbox, queue::SteadyInstant now);
    /// The call brought `called` of at most `limit`: fewer means that no more wait.
    void called(const std::string& mailbox, std::size_t called, std::size_t limit);

private:
    struct Mailbox {
        bool calling = false;     ///< until called()
        bool has_called = false;  ///< since the last deferral
        std::size_t next_call = 0;
        queue::Duration pause{0};
        queue::SteadyInstant not_before{};
    };
    std::unordered_map<std::string, Mailbox> mailboxes_;
};

}  // namespace postern::delivery
