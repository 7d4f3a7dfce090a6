#include "queue/mail/utf8.hpp"

#include <cstdint>

namespace postern::mail {
namespace {

std::uint8_t octet(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

bool is_tail(std::string_view text, std::size_t at) { return at < text.size() && (octet(text, at) & 0xC0) == 0x80; }

// The second octet's range keeps out overlong forms, surrogates and what is above U+10FFFF.
bool second_fits(std::uint8_t first, std::uint8_t second) {
    switch (first) {
        case 0xE0:
            return second >= 0xA0 && second <= 0xBF;
        case 0xED:
            return second >= 0x80 && second <= 0x9F;
        case 0xF0:
            return second >= 0x90 && second <= 0xBF;
        case 0xF4:
            return second >= 0x80 && second <= 0x8F;
        default:
            return second >= 0x80 && second <= 0xBF;
    }
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
    if (text.empty()) {
        return 0;
    }
    const std::uint8_t first = octet(text, 0);
    if (first < 0x80) {
        return 1;
    }
    std::size_t length = 0;
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
    } else {
        return 0;
    }
    if (text.size() < length || !second_fits(first, octet(text, 1))) {
        return 0;
    }
    for (std::size_t i = 2; i < length; ++i) {
        if (!is_tail(text, i)) {
            return 0;
        }
    }
    return length;
}

bool is_unsafe_character(std::string_view character) noexcept {
    const std::uint8_t first = octet(character, 0);
    switch (character.size()) {
        case 1:
            return first < 0x20 || first == 0x7F;
        case 2:
            return first == 0xC2 && octet(character, 1) < 0xA0;  // C1
        case 3: {
            if (first != 0xE2) {
                return false;
            }
            const std::uint8_t second = octet(character, 1);
            const std::uint8_t third = octet(character, 2);
            // U+200E, U+200F, U+2028 to U+202E; U+2066 to U+2069
            return (second == 0x80 && (third == 0x8E || third == 0x8F || (third >= 0xA8 && third <= 0xAE))) ||
                   (second == 0x81 && third >= 0xA6 && third <= 0xA9);
        }
        default:
            return false;
    }
}

}  // namespace postern::mail
