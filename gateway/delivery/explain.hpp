// What an undelivered recipient waits for, as the scheduler itself sees it. Plain values; for `postern queue why`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "queue/message.hpp"

namespace postern::delivery {

enum class WaitsFor : std::uint8_t {
    nothing,       ///< delivered or removed
    result,        ///< in flight: a transaction with it is at work
    record,        ///< its result is on the way into the store
    next_attempt,  ///< until `until`, after `reply`
    turn,          ///< ready: its turn, or a free connection
    memory,        ///< ready, but not in memory yet: others of the same backend go first
    mailbox,       ///< ready, but its mailbox takes no more deliveries at once
    endpoint,      ///< the backend is down: next probe at `until`
    resume,        ///< an operator has paused the backend
    brake,         ///< refused for good, and kept by the brake: tried again at `until`
    route,         ///< the configuration has no backend for it
    release,       ///< held
    report,        ///< parked: its sender may not be told
    recording,     ///< the store cannot record results: nothing is started
    stop,          ///< the gateway is stopping
};
[[nodiscard]] std::string_view to_string(WaitsFor reason);

struct Explanation {
    queue::Ordinal ordinal = 0;
    std::string recipient;
    WaitsFor reason = WaitsFor::nothing;
    std::string backend;
    std::string endpoint;                 ///< with result; with endpoint: the one that is probed next
    std::optional<queue::Instant> since;  ///< the pause, the outage, the transaction
    std::optional<queue::Instant> until;  ///< next attempt, next probe
    std::string reply;                    ///< the last one about it, or the endpoint's last error. A stranger's text.
    std::string actor;                    ///< who paused, and by which command
    std::string text;                     ///< one sentence: what it waits for; an operator's reason may be in it
    std::string remedy;                   ///< what would change it; may be empty
};

}  // namespace postern::delivery
