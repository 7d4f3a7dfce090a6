// Grammar of names; see the header.
#include "gateway/config/detail/names.hpp"

#include <algorithm>

namespace postern::config::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_8bit(char c) { return static_cast<unsigned char>(c) > 127; }

/// Whether `good` holds for every label; no label is empty.
template <class Predicate>
bool each_label(std::string_view text, Predicate good) {
    while (true) {
        const std::size_t dot = text.find('.');
        const std::string_view label = text.substr(0, dot);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
            !std::all_of(label.begin(), label.end(), good)) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(dot + 1);
    }
}

}  // namespace

std::string ascii_lower(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
    }
    return lower;
}

bool is_domain_name(std::string_view text) {
    return text.size() <= 255 &&
           each_label(text, [](char c) { return is_ascii_letter(c) || is_digit(c) || c == '-' || is_8bit(c); });
}

bool is_host_name(std::string_view text) {
    if (text.size() > 253 ||
        !each_label(text, [](char c) { return is_ascii_letter(c) || is_digit(c) || c == '-' || c == '_'; })) {
        return false;
    }
    const std::string_view last = text.substr(text.rfind('.') + 1);  // npos + 1 is 0
    return !std::all_of(last.begin(), last.end(), is_digit);
}

}  // namespace postern::config::detail
