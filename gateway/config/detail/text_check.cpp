// UTF-8 and control characters; see the header.
#include "gateway/config/detail/text_check.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace postern::config::detail {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::uint8_t octet(std::string_view text, std::size_t at) {
    return at < text.size() ? static_cast<std::uint8_t>(text[at]) : std::uint8_t{0};
}

/// Length of the well-formed UTF-8 sequence at `at` (RFC 3629 section 4); 0: there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        const unsigned c = octet(text, at + i);
        return c >= low && c <= high;
    };
    const unsigned first = octet(text, at);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return tail(1) ? 2 : 0;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = first == 0xED ? 0x9F : 0xBF;
        return tail(1, low, high) && tail(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const unsigned low = first == 0xF0 ? 0x90 : 0x80;
        const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
        return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

bool is_control(std::string_view text, std::size_t at) {
    const unsigned c = octet(text, at);
    const bool is_c1 = c == 0xC2 && octet(text, at + 1) < 0xA0 && octet(text, at + 1) != 0x85;  // 85: a line end (NEL)
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F || is_c1;
}

}  // namespace

bool check_text(std::string_view& text, Problems& problems) {
    if (text.size() > file_octets_max) {
        problems.error(
            {}, fmt::format("longer than {} octets, which is all that a configuration may have", file_octets_max));
        return false;
    }
    if (text.substr(0, byte_order_mark.size()) == byte_order_mark) {
        text.remove_prefix(byte_order_mark.size());
    }
    Position here{1, 1};
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = sequence_length(text, at);
        if (length == 0) {
            problems.error(here, fmt::format("not UTF-8: octet {:02X}", octet(text, at)));
            return false;
        }
        if (is_control(text, at)) {
            problems.error(here, fmt::format("a control character (octet {:02X})", octet(text, at)));
            return false;
        }
        here.column += static_cast<int>(length);
        if (text[at] == '\n') {
            here = {here.line + 1, 1};
        }
        at += length;
    }
    return true;
}

}  // namespace postern::config::detail
