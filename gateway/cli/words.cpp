#include "gateway/cli/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace postern::cli {
namespace {

bool begins_code_point(char octet) { return (static_cast<unsigned char>(octet) & 0xC0U) != 0x80U; }

}  // namespace

std::string span(queue::Duration duration) {
    const auto seconds = std::max<std::int64_t>(duration.count() / 1000, 0);
    const auto pair = [](std::int64_t large, char large_unit, std::int64_t small, char small_unit) {
        return small == 0 ? fmt::format("{}{}", large, large_unit)
                          : fmt::format("{}{}{}{}", large, large_unit, small, small_unit);
    };
    if (seconds >= 86400) {
        return pair(seconds / 86400, 'd', seconds % 86400 / 3600, 'h');
    }
    if (seconds >= 3600) {
        return pair(seconds / 3600, 'h', seconds % 3600 / 60, 'm');
    }
    if (seconds >= 60) {
        return pair(seconds / 60, 'm', seconds % 60, 's');
    }
    return fmt::format("{}s", seconds);
}

std::string until(queue::Instant then, queue::Instant now) {
    return then <= now ? "now" : fmt::format("in {}", span(then - now));
}

std::string until_with_time(queue::Instant then, queue::Instant now) {
    if (then <= now) {
        return "now";
    }
    const std::string time = queue::to_rfc3339(std::chrono::floor<std::chrono::seconds>(then));
    // "2026-08-21T10:22:05.000Z"
    const std::string clock = time.substr(11, 8) + "Z";
    return until(then, now) + ", " + (then - now >= std::chrono::hours(24) ? time.substr(0, 11) + clock : clock);
}

std::string size(std::uint64_t octets) {
    if (octets < 1024) {
        return fmt::format("{} B", octets);
    }
    double value = static_cast<double>(octets);
    std::string_view unit;
    for (const std::string_view next : {"KiB", "MiB", "GiB", "TiB"}) {
        if (value < 1024) {
            break;
        }
        value /= 1024;
        unit = next;
    }
    return fmt::format("{:.1f} {}", value, unit);
}

std::string count(std::uint64_t number, std::string_view noun) {
    return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::optional<queue::Duration> parse_span(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> units{
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
    constexpr std::int64_t most = 100LL * 366 * 86'400'000;  // a century: no sum with a wall time overflows
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0 || text.front() == '-') {
        return std::nullopt;
    }
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    for (const auto& [name, milliseconds] : units) {
        if (unit == name && number <= most / milliseconds) {
            return queue::Duration(number * milliseconds);
        }
    }
    return std::nullopt;
}

std::size_t columns(std::string_view text) {
    std::size_t columns = 0;
    for (const char octet : text) {
        columns += begins_code_point(octet) ? 1U : 0U;
    }
    return columns;
}

std::string cut(std::string_view text, std::size_t columns_max) {
    if (columns(text) <= columns_max) {
        return std::string(text);
    }
    constexpr std::string_view mark = "...";
    const std::size_t keep = columns_max > mark.size() ? columns_max - mark.size() : 0;
    std::size_t seen = 0;
    std::size_t end = 0;
    while (end < text.size() && (!begins_code_point(text[end]) || seen++ < keep)) {
        ++end;
    }
    return std::string(text.substr(0, end)) + std::string(mark.substr(0, columns_max));
}

std::string pad_right(std::string text, std::size_t columns_min) {
    const std::size_t have = columns(text);
    return have < columns_min ? text.append(columns_min - have, ' ') : text;
}

std::string pad_left(std::string text, std::size_t columns_min) {
    const std::size_t have = columns(text);
    return have < columns_min ? text.insert(0, columns_min - have, ' ') : text;
}

}  // namespace postern::cli
