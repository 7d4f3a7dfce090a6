// How command lines are taken apart: words, numbers, letters without case. ASCII only, no locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postern::smtp_server::detail {

[[nodiscard]] constexpr char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

/// `upper` is in upper case already.
[[nodiscard]] constexpr bool equals_ignoring_case(std::string_view text, std::string_view upper) {
    if (text.size() != upper.size()) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (to_upper(text[i]) != upper[i]) {
            return false;
        }
    }
    return true;
}

/// Takes the word up to the next space, and the spaces behind it, off the front of `text`.
[[nodiscard]] constexpr std::string_view take_word(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    while (!text.empty() && text.front() == ' ') {
        text.remove_prefix(1);
    }
    return word;
}

/// 1 to 20 digits, as RFC 1870 section 3 has them. Above 64 bits: the largest value, which is larger than any limit.
[[nodiscard]] constexpr std::optional<std::uint64_t> read_number(std::string_view text) {
    if (text.empty() || text.size() > 20) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    bool overflow = false;
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        const auto digit = static_cast<std::uint64_t>(c - '0');
        overflow = overflow || value > (UINT64_MAX - digit) / 10;
        value = overflow ? UINT64_MAX : value * 10 + digit;
    }
    return value;
}

}  // namespace postern::smtp_server::detail
