// Spans, sizes and counts in words, and the way back. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "queue/time.hpp"

namespace postern::cli {

/// "45s", "4m10s", "2h3m", "3d4h": the two largest units. A negative span is "0s".
[[nodiscard]] std::string span(queue::Duration duration);
/// "now", or "in 4m10s".
[[nodiscard]] std::string until(queue::Instant then, queue::Instant now);
/// "in 4m10s, 10:22:05Z"; with the date when it is a day or more away; "now".
[[nodiscard]] std::string until_with_time(queue::Instant then, queue::Instant now);
/// "812 B", "4.0 KiB", "1.2 GiB".
[[nodiscard]] std::string size(std::uint64_t octets);
/// "1 message", "2 messages".
[[nodiscard]] std::string count(std::uint64_t number, std::string_view noun);

/// "500ms 30s 5m 4h 5d", as in the configuration. nullopt: none of these.
[[nodiscard]] std::optional<queue::Duration> parse_span(std::string_view text);

/// How many columns a text takes, and the text cut to `columns` ("..." marks the cut). Counts code points.
[[nodiscard]] std::size_t columns(std::string_view text);
[[nodiscard]] std::string cut(std::string_view text, std::size_t columns_max);
[[nodiscard]] std::string pad_right(std::string text, std::size_t columns_min);
[[nodiscard]] std::string pad_left(std::string text, std::size_t columns_min);

}  // namespace postern::cli
