// What an undelivered recipient waits for. A running gateway says it from what its scheduler decides by; with none, the
// queue alone says what it can.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "queue/reader.hpp"

namespace postern::control {

struct WhyView {
    queue::Ordinal ordinal = 0;
    std::string recipient;
    queue::RecipientState state = queue::RecipientState::ready;
    /// A word for programs: next_attempt, turn, memory, mailbox, endpoint, resume, brake, route, release, report,
    /// result, record, recording, stop, nothing; gateway: for its start.
    std::string waits_for;
    std::string text;    ///< the same as a sentence; an operator's reason may be in it
    std::string remedy;  ///< what would change it; may be empty
    std::string backend;
    std::string endpoint;
    std::optional<queue::Instant> since;
    std::optional<queue::Instant> until;
    std::string reply;  ///< the last one about it, or the endpoint's last error; a stranger's text
    std::string actor;  ///< who paused, and by which command
};

struct Why {
    bool running = true;              ///< false: said from the queue alone
    std::vector<WhyView> recipients;  ///< the undone ones
};

/// Without a gateway: states, times and pauses (of `marks`), nothing of stores.
[[nodiscard]] std::vector<WhyView> why_from_queue(const queue::QueuedMessage& message,
                                                  const std::vector<queue::BackendMark>& marks, queue::Instant now);

}  // namespace postern::control
