#include "gateway/bounce/detail/text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "queue/mail/utf8.hpp"

namespace postern::bounce::detail {

namespace {

constexpr std::size_t fold_octets = 76;
constexpr std::size_t word_octets_max = 900;  // a longer one is cut, so that a line with its indent stays below 998

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::uint32_t value_of(std::string_view character) {
    const auto octet = [character](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<std::uint8_t>(character[at]));
    };
    switch (character.size()) {
        case 2:
            return (octet(0) & 0x1F) << 6 | (octet(1) & 0x3F);
        case 3:
            return (octet(0) & 0x0F) << 12 | (octet(1) & 0x3F) << 6 | (octet(2) & 0x3F);
        case 4:
            return (octet(0) & 0x07) << 18 | (octet(1) & 0x3F) << 12 | (octet(2) & 0x3F) << 6 | (octet(3) & 0x3F);
        default:
            return octet(0);
    }
}

/// No more than `octets_max`, and no character cut in two.
std::string_view cut_to(std::string_view text, std::size_t octets_max) {
    std::size_t cut = std::min(text.size(), octets_max);
    for (int i = 0; i < 3 && cut > 0 && cut < text.size() && (static_cast<std::uint8_t>(text[cut]) & 0xC0) == 0x80;
         ++i) {
        --cut;
    }
    return text.substr(0, cut);
}

/// Cuts the next word off the front, with the space before it left out; a very long one in pieces.
std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = cut_to(text.substr(0, text.find(' ')), word_octets_max);
    text.remove_prefix(word.size());
    return word;
}

/// Words in lines; each line but the first begins with `next_line`.
void append_words(std::string& out, std::size_t column, std::string_view text, std::string_view next_line) {
    bool at_start = true;
    for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
        if (!at_start && column + 1 + word.size() > fold_octets) {
            out += next_line;
            column = next_line.size() - 2;
        } else if (!at_start) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        at_start = false;
    }
    out += "\r\n";
}

}  // namespace

std::string cleaned(std::string_view text, Charset charset, std::size_t octets_max) {
    const std::string_view used = cut_to(text, octets_max);
    std::string out;
    out.reserve(used.size() + 3);
    bool space_due = false;
    for (std::string_view rest = used; !rest.empty();) {
        if (is_space(rest.front())) {
            space_due = !out.empty();
            rest.remove_prefix(1);
            continue;
        }
        if (space_due) {
            out += ' ';
            space_due = false;
        }
        const std::size_t length = mail::utf8_length(rest);
        const std::string_view character = rest.substr(0, std::max<std::size_t>(length, 1));
        rest.remove_prefix(character.size());
        if (length == 0 || mail::is_unsafe_character(character) || (length > 1 && charset == Charset::ascii)) {
            out += fmt::format("\\x{{{:02X}}}", value_of(character));
        } else {
            out += character;
        }
    }
    if (used.size() < text.size()) {
        out += "...";
    }
    return out;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out += name;
    out += ": ";
    append_words(out, name.size() + 2, value, "\r\n ");
}

void append_paragraph(std::string& out, std::string_view text, std::string_view indent) {
    out += indent;
    append_words(out, indent.size(), text, std::string("\r\n") += indent);
}

std::string quoted_printable(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    std::size_t column = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool line_end = text.substr(i, 2) == "\r\n";
        if (line_end) {
            out += "\r\n";
            column = 0;
            ++i;
            continue;
        }
        const char c = text[i];
        const bool before_line_end = i + 1 == text.size() || text.substr(i + 1, 2) == "\r\n";
        const bool plain = (c > ' ' && c <= '~' && c != '=') || ((c == ' ' || c == '\t') && !before_line_end);
        if (column + (plain ? 1 : 3) > 75) {
            out += "=\r\n";
            column = 0;
        }
        if (plain) {
            out += c;
            ++column;
        } else {
            const auto value = static_cast<std::uint8_t>(c);
            out += '=';
            out += digits[value >> 4];
            out += digits[value & 15];
            column += 3;
        }
    }
    return out;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = mail::utf8_length(text);
        if (length == 0) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

bool has_good_lines(std::string_view text) {
    std::size_t column = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.substr(i, 2) == "\r\n") {
            column = 0;
            ++i;
        } else if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0' || ++column > line_octets_max) {
            return false;
        }
    }
    return true;
}

bool same_word(std::string_view word, std::string_view lower) {
    return std::equal(word.begin(), word.end(), lower.begin(), lower.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
    });
}

}  // namespace postern::bounce::detail
