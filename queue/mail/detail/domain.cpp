#include "queue/mail/detail/domain.hpp"

#include <cstddef>
#include <cstdint>

namespace postern::mail::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_label_octet(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           static_cast<std::uint8_t>(c) > 127;
}

bool is_label(std::string_view label) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
        return false;
    }
    for (const char c : label) {
        if (!is_label_octet(c)) {
            return false;
        }
    }
    return true;
}

// One number of an IPv4 address, 0 to 255, taken off the front.
bool take_octet(std::string_view& text) {
    int value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && digits < 3 && is_digit(text[digits])) {
        value = value * 10 + (text[digits] - '0');
        ++digits;
    }
    if (digits == 0 || value > 255 || (digits > 1 && text[0] == '0')) {
        return false;
    }
    text.remove_prefix(digits);
    return true;
}

bool has_tag_ipv6(std::string_view text) {
    static constexpr std::string_view tag = "ipv6:";
    if (text.size() < tag.size()) {
        return false;
    }
    for (std::size_t i = 0; i < tag.size(); ++i) {
        const char c = text[i];
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        if (lower != tag[i]) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool is_domain_name(std::string_view text) {
    while (true) {
        const std::size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot))) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(dot + 1);
    }
}

bool is_ipv4(std::string_view text) {
    for (int i = 0; i < 4; ++i) {
        if (i > 0) {
            if (text.empty() || text[0] != '.') {
                return false;
            }
            text.remove_prefix(1);
        }
        if (!take_octet(text)) {
            return false;
        }
    }
    return text.empty();
}

bool is_ipv6(std::string_view text) {
    int groups = 0;
    bool compressed = false;
    if (text.substr(0, 2) == "::") {
        compressed = true;
        text.remove_prefix(2);
    }
    // Here a group must follow, or the end, where "::" came last.
    bool may_end = compressed;
    while (!text.empty()) {
        std::size_t digits = 0;
        while (digits < text.size() && digits < 5 && is_hex_digit(text[digits])) {
            ++digits;
        }
        if (digits < text.size() && text[digits] == '.') {
            groups += 2;
            may_end = is_ipv4(text);
            text = {};
            break;
        }
        if (digits == 0 || digits > 4) {
            return false;
        }
        ++groups;
        text.remove_prefix(digits);
        may_end = true;
        if (text.empty()) {
            break;
        }
        if (text[0] != ':') {
            return false;
        }
        text.remove_prefix(1);
        may_end = false;
        if (!text.empty() && text[0] == ':') {
            if (compressed) {
                return false;
            }
            compressed = true;
            may_end = true;
            text.remove_prefix(1);
        }
    }
    return may_end && (compressed ? groups <= 7 : groups == 8);
}

bool is_address_literal(std::string_view text) {
    if (text.size() < 3 || text.front() != '[' || text.back() != ']') {
        return false;
    }
    text = text.substr(1, text.size() - 2);
    if (has_tag_ipv6(text)) {
        return is_ipv6(text.substr(5));
    }
    return is_ipv4(text);
}

}  // namespace postern::mail::detail
