// Time: the machine's clocks, RFC 3339 in and out, and RFC 5322 out.
#include "queue/time.hpp"

#include <fmt/format.h>

#include <array>

namespace postern::queue {

Instant SystemClock::wall() const { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

SteadyInstant SystemClock::steady() const { return std::chrono::steady_clock::now(); }

std::string to_rfc3339(Instant instant) {
    const auto day = std::chrono::floor<std::chrono::days>(instant);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(instant - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::string to_rfc5322(Instant instant) {
    static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto day = std::chrono::floor<std::chrono::days>(instant);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(instant - day));
    return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000", days.at(std::chrono::weekday(day).c_encoding()),
                       static_cast<unsigned>(date.day()), months.at(static_cast<unsigned>(date.month()) - 1),
                       static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                       time.seconds().count());
}

namespace {

/// Takes digits and separators off the front of a text; remembers whether all of it fitted so far.
class DigitReader {
public:
    explicit DigitReader(std::string_view text) : text_(text) {}

    int number(std::size_t digits) {
        int value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char c = i < text_.size() ? text_[i] : '\0';
            if (c < '0' || c > '9') {
                good_ = false;
                return 0;
            }
            value = value * 10 + (c - '0');
        }
        text_.remove_prefix(digits);
        return value;
    }
    bool take(char upper) {
        if (text_.empty() || (text_.front() & ~0x20) != (upper & ~0x20)) {
            return false;
        }
        text_.remove_prefix(1);
        return true;
    }
    void expect(char upper) { good_ = take(upper) && good_; }

    /// The digits after a decimal point as milliseconds; finer ones are cut off.
    int milliseconds() {
        int value = 0;
        int digits = 0;
        while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
            if (digits < 3) {
                value = value * 10 + (text_.front() - '0');
            }
            ++digits;
            text_.remove_prefix(1);
        }
        good_ = good_ && digits > 0;
        for (; digits < 3; ++digits) {
            value *= 10;
        }
        return value;
    }
    [[nodiscard]] bool good() const { return good_; }
    [[nodiscard]] bool at_end() const { return text_.empty(); }

private:
    std::string_view text_;
    bool good_ = true;
};

/// "Z", or "+01:30": what is to be subtracted to get UTC. Marks the reader as bad otherwise.
std::optional<std::chrono::minutes> read_offset(DigitReader& reader) {
    if (reader.take('Z')) {
        return std::chrono::minutes(0);
    }
    const bool east = reader.take('+');
    if (!east && !reader.take('-')) {
        return std::nullopt;
    }
    const int hours = reader.number(2);
    reader.expect(':');
    const int minutes = reader.number(2);
    if (!reader.good() || hours > 23 || minutes > 59) {
        return std::nullopt;
    }
    const std::chrono::minutes offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
    return east ? offset : -offset;
}

}  // namespace

std::optional<Instant> parse_rfc3339(std::string_view text) {
    DigitReader reader(text);
    const int year = reader.number(4);
    reader.expect('-');
    const int month = reader.number(2);
    reader.expect('-');
    const int day = reader.number(2);
    reader.expect('T');
    const int hour = reader.number(2);
    reader.expect(':');
    const int minute = reader.number(2);
    reader.expect(':');
    const int second = reader.number(2);
    const int milliseconds = reader.take('.') ? reader.milliseconds() : 0;
    const auto offset = read_offset(reader);
    const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day)));
    // A leap second (60) counts as the first second of the next minute.
    if (!reader.good() || !reader.at_end() || !offset || !date.ok() || hour > 23 || minute > 59 || second > 60) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second) + Duration(milliseconds) - *offset;
}

}  // namespace postern::queue
