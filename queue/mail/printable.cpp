#include "queue/mail/printable.hpp"

#include <cstdint>

#include "queue/mail/utf8.hpp"

namespace postern::mail {
namespace {

void append_escaped(std::string& out, std::string_view octets) {
    static constexpr char digits[] = "0123456789abcdef";
    for (const char c : octets) {
        const auto value = static_cast<std::uint8_t>(c);
        out += "\\x";
        out += digits[value >> 4];
        out += digits[value & 15];
    }
}

// Where to cut so that no character is: at most three octets before the bound.
std::size_t cut_before(std::string_view text, std::size_t octets_max) {
    std::size_t cut = octets_max;
    while (cut > 0 && octets_max - cut < 3 && (static_cast<std::uint8_t>(text[cut]) & 0xC0) == 0x80) {
        --cut;
    }
    return cut;
}

}  // namespace

std::string printable(std::string_view text, std::size_t octets_max) {
    const bool is_cut = text.size() > octets_max;
    if (is_cut) {
        text = text.substr(0, cut_before(text, octets_max));
    }
    std::string out;
    out.reserve(text.size() + 3);
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const std::string_view character = text.substr(0, length == 0 ? 1 : length);
        if (length == 0 || is_unsafe_character(character)) {
            append_escaped(out, character);
        } else if (character == "\\") {
            out += "\\\\";
        } else {
            out += character;
        }
        text.remove_prefix(character.size());
    }
    if (is_cut) {
        out += "...";
    }
    return out;
}

bool is_printable(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || is_unsafe_character(text.substr(0, length))) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace postern::mail
