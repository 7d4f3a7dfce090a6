// Digits and a unit; see the header.
#include "gateway/config/detail/units.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <span>

#include "gateway/config/detail/names.hpp"

namespace postern::config::detail {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};
/// What people write for a unit, in lower case, and the unit's name here.
struct Habit {
    std::string_view written;
    std::string_view name;
};

constexpr std::uint64_t second = 1000;
constexpr std::array<Unit, 5> durations{{{"d", 86400 * second},  //
                                         {"h", 3600 * second},
                                         {"m", 60 * second},
                                         {"s", second},
                                         {"ms", 1}}};
constexpr std::array<Habit, 18> duration_habits{{{"", "s"},
                                                 {"sec", "s"},
                                                 {"secs", "s"},
                                                 {"second", "s"},
                                                 {"seconds", "s"},
                                                 {"min", "m"},
                                                 {"mins", "m"},
                                                 {"minute", "m"},
                                                 {"minutes", "m"},
                                                 {"hr", "h"},
                                                 {"hrs", "h"},
                                                 {"hour", "h"},
                                                 {"hours", "h"},
                                                 {"day", "d"},
                                                 {"days", "d"},
                                                 {"msec", "ms"},
                                                 {"s", "s"},
                                                 {"h", "h"}}};

constexpr std::array<Unit, 5> sizes{
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"", 1}}};
constexpr std::array<Habit, 15> size_habits{{{"k", "KiB"},
                                             {"kb", "KiB"},
                                             {"kib", "KiB"},
                                             {"m", "MiB"},
                                             {"mb", "MiB"},
                                             {"mib", "MiB"},
                                             {"g", "GiB"},
                                             {"gb", "GiB"},
                                             {"gib", "GiB"},
                                             {"t", "TiB"},
                                             {"tb", "TiB"},
                                             {"tib", "TiB"},
                                             {"b", ""},
                                             {"byte", ""},
                                             {"bytes", ""}}};

/// The digits in front, and what is behind them.
struct Split {
    std::string_view digits;
    std::string_view unit;
};

Split split(std::string_view text) {
    const std::size_t end = text.find_first_not_of("0123456789");
    return end == std::string_view::npos ? Split{text, {}} : Split{text.substr(0, end), text.substr(end)};
}

std::string meant_by(const Split& parts, std::span<const Habit> habits) {
    std::string_view unit = parts.unit;
    unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
    const std::string lower = ascii_lower(unit);
    for (const Habit& habit : habits) {
        if (!parts.digits.empty() && lower == habit.written) {
            return std::string(parts.digits) + std::string(habit.name);
        }
    }
    return {};
}

Result<std::uint64_t, UnitError> parse(std::string_view text, std::span<const Unit> units,
                                       std::span<const Habit> habits, std::uint64_t limit) {
    const Split parts = split(text);
    const Unit* unit = nullptr;
    for (const Unit& candidate : units) {
        if (candidate.name == parts.unit) {
            unit = &candidate;
        }
    }
    const bool has_spare_zero = parts.digits.size() > 1 && parts.digits.front() == '0';
    if (parts.digits.empty() || has_spare_zero || unit == nullptr) {
        return UnitError{UnitError::Kind::malformed, has_spare_zero ? std::string() : meant_by(parts, habits)};
    }
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(parts.digits.data(), parts.digits.data() + parts.digits.size(), number);
    static_cast<void>(end);
    if (error != std::errc() || number > limit / unit->factor) {
        return UnitError{UnitError::Kind::too_large, {}};
    }
    return number * unit->factor;
}

std::string to_text(std::uint64_t number, std::span<const Unit> units) {
    for (const Unit& unit : units) {
        if (number != 0 && number % unit.factor == 0) {
            return std::to_string(number / unit.factor) + std::string(unit.name);
        }
    }
    return "0";
}

}  // namespace

Result<std::chrono::milliseconds, UnitError> parse_duration(std::string_view text) {
    if (text == "0") {
        return std::chrono::milliseconds(0);
    }
    const auto number =
        parse(text, durations, duration_habits, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (!number) {
        return number.error();
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(*number));
}

Result<std::uint64_t, UnitError> parse_size(std::string_view text) {
    return parse(text, sizes, size_habits, std::numeric_limits<std::uint64_t>::max());
}

std::string to_text(std::chrono::milliseconds duration) {
    return to_text(static_cast<std::uint64_t>(duration.count()), durations);
}

std::string size_to_text(std::uint64_t octets) { return to_text(octets, sizes); }

}  // namespace postern::config::detail
