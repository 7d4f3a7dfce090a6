// How fast reports go to one domain: whoever has forged a thousand senders in it must not make us flood it. A report
// beyond the rate gets a later time for its first attempt; nothing is dropped. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "queue/time.hpp"

namespace postern::bounce {

class Pace {
public:
    /// How long the next report to `domain` (lower case) has to wait until those before it are gone at `per_second`. A
    /// burst of one second's worth goes at once. By the steady clock: the other may be set back by a day.
    [[nodiscard]] queue::Duration wait(const std::string& domain, std::uint32_t per_second, queue::SteadyInstant now);

private:
    /// When the domain's reports will all be gone. What lies in the past is forgotten in time.
    std::unordered_map<std::string, std::int64_t> gone_at_;  // microseconds
};

}  // namespace postern::bounce
