// One event as a line: `time level event key=value...`, or the same as a JSON object. Pure.
//
// Values may come from strangers. Control characters and malformed UTF-8 never get through (mail::printable), and a
// value with a space, a quote or an equals sign is quoted, so that no value can look like another key.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "queue/time.hpp"

namespace postern::log {

enum class Format : std::uint8_t { logfmt, json };
enum class Level : std::uint8_t { debug, info, warn, error };
[[nodiscard]] std::string_view to_string(Level level);

/// One key with its value. The key is ours: lower case letters and '_'. Text is not copied.
struct Field {
    std::string_view key;
    std::variant<std::string_view, std::int64_t, std::uint64_t, double> value;

    Field(std::string_view name, std::string_view text) : key(name), value(text) {}
    Field(std::string_view name, const std::string& text) : key(name), value(std::string_view(text)) {}
    Field(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
    Field(std::string_view name, std::int64_t number) : key(name), value(number) {}
    Field(std::string_view name, std::uint64_t number) : key(name), value(number) {}
    Field(std::string_view name, std::uint32_t number) : key(name), value(std::uint64_t{number}) {}
    Field(std::string_view name, double number) : key(name), value(number) {}
};

/// Without a line end. A text that is empty is written as key="".
[[nodiscard]] std::string format_line(Format format, queue::Instant time, Level level, std::string_view event,
                                      std::span<const Field> fields);

}  // namespace postern::log
