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
    /// When the next report to `domain` (lower case) may go out: now, or once those before it are gone at `per_second`.
    /// A burst of one second's worth goes at once.
    [[nodiscard]] queue::Instant next(const std::string& domain, std::uint32_t per_second, queue::Instant now);

private:
    /// When the domain's reports will all be gone. What lies in the past is forgotten in time.
    std::unordered_map<std::string, std::int64_t> gone_at_;  // microseconds
};

}  // namespace postern::bounce
