// Durations ("500ms", "5m") and sizes ("64KiB", "1000"): text to number and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "queue/mail/result.hpp"

namespace postern::config::detail {

struct UnitError {
    enum class Kind : std::uint8_t { malformed, too_large } kind = Kind::malformed;
    std::string meant;  ///< what it was probably meant to be: "5m" for "5min"; empty: no idea
};

/// Digits and one of ms, s, m, h, d; or "0".
[[nodiscard]] Result<std::chrono::milliseconds, UnitError> parse_duration(std::string_view text);
/// Octets: digits, then nothing or one of KiB, MiB, GiB, TiB.
[[nodiscard]] Result<std::uint64_t, UnitError> parse_size(std::string_view text);

/// In the largest unit that keeps it whole: "90s", "1h".
[[nodiscard]] std::string to_text(std::chrono::milliseconds duration);
[[nodiscard]] std::string size_to_text(std::uint64_t octets);

}  // namespace postern::config::detail
