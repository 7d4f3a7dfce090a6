#include "gateway/log/line.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "queue/mail/printable.hpp"

namespace postern::log {

namespace {

/// Nothing in it needs a quote in logfmt, and nothing in it needs to be made safe: most addresses, ids and numbers.
bool is_plain(std::string_view text) {
    if (text.empty()) {
        return false;
    }
    for (const char c : text) {
        if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return true;
}

void append_logfmt(std::string& out, std::string_view text) {
    if (is_plain(text) && text.size() <= 1024) {
        out.append(text);
        return;
    }
    out.push_back('"');
    for (const char c : mail::printable(text)) {
        if (c == '"') {
            out.push_back('\\');
        }
        out.push_back(c);
    }
    out.push_back('"');
}

std::string format_logfmt(queue::Instant time, Level level, std::string_view event, std::span<const Field> fields) {
    std::string out = queue::to_rfc3339(time);
    out.reserve(256);
    out.append(" ").append(to_string(level)).append(" ").append(event);
    for (const Field& field : fields) {
        out.append(" ").append(field.key).append("=");
        if (const auto* text = std::get_if<std::string_view>(&field.value)) {
            append_logfmt(out, *text);
        } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
            fmt::format_to(std::back_inserter(out), "{}", *number);
        } else if (const auto* natural = std::get_if<std::uint64_t>(&field.value)) {
            fmt::format_to(std::back_inserter(out), "{}", *natural);
        } else {
            fmt::format_to(std::back_inserter(out), "{:.3f}", std::get<double>(field.value));
        }
    }
    return out;
}

std::string format_json(queue::Instant time, Level level, std::string_view event, std::span<const Field> fields) {
    nlohmann::ordered_json object;
    object["time"] = queue::to_rfc3339(time);
    object["level"] = to_string(level);
    object["event"] = event;
    for (const Field& field : fields) {
        auto& value = object[std::string(field.key)];
        if (const auto* text = std::get_if<std::string_view>(&field.value)) {
            value = mail::printable(*text);
        } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
            value = *number;
        } else if (const auto* natural = std::get_if<std::uint64_t>(&field.value)) {
            value = *natural;
        } else {
            value = std::get<double>(field.value);
        }
    }
    return object.dump();
}

}  // namespace

std::string_view to_string(Level level) {
    switch (level) {
        case Level::debug:
            return "debug";
        case Level::info:
            return "info";
        case Level::warn:
            return "warn";
        case Level::error:
            return "error";
    }
    return "error";
}

std::string format_line(Format format, queue::Instant time, Level level, std::string_view event,
                        std::span<const Field> fields) {
    return format == Format::json ? format_json(time, level, event, fields) : format_logfmt(time, level, event, fields);
}

}  // namespace postern::log
