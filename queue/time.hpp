// Time as the program speaks of it. Wall time is for what is stored and shown; steady time for time limits.
// Nothing below reads a clock by itself: both come in through Clock, so that tests and the simulation own them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace postern::queue {

/// Wall time, in UTC, with the resolution that is stored.
using Instant = std::chrono::sys_time<std::chrono::milliseconds>;
using Duration = std::chrono::milliseconds;
using SteadyInstant = std::chrono::steady_clock::time_point;

class Clock {
public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual Instant wall() const = 0;
    [[nodiscard]] virtual SteadyInstant steady() const = 0;
};

/// The machine's clocks. Stateless; any thread.
class SystemClock final : public Clock {
public:
    [[nodiscard]] Instant wall() const override;
    [[nodiscard]] SteadyInstant steady() const override;
};

/// "2026-08-21T10:11:12.345Z" (RFC 3339).
[[nodiscard]] std::string to_rfc3339(Instant instant);
[[nodiscard]] std::optional<Instant> parse_rfc3339(std::string_view text);

/// "Fri, 21 Aug 2026 10:11:12 +0000", as the fields of a message have it (RFC 5322 section 3.3): in UTC, in English
/// whatever the locale, less the milliseconds.
[[nodiscard]] std::string to_rfc5322(Instant instant);

}  // namespace postern::queue
