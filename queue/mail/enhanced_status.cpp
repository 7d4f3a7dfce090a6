#include "queue/mail/enhanced_status.hpp"

namespace postern::mail {
namespace {

// One to three digits without leading zeros (RFC 3463 section 2), taken from the front of `text`.
std::optional<std::uint16_t> take_number(std::string_view& text) {
    std::uint16_t value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
        if (digits == 3) {
            return std::nullopt;
        }
        value = static_cast<std::uint16_t>(value * 10 + (text[digits] - '0'));
        ++digits;
    }
    if (digits == 0 || (digits > 1 && text[0] == '0')) {
        return std::nullopt;
    }
    text.remove_prefix(digits);
    return value;
}

bool take_dot(std::string_view& text) {
    if (text.empty() || text[0] != '.') {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

}  // namespace

std::optional<EnhancedStatus> EnhancedStatus::parse(std::string_view text) {
    const auto cls = take_number(text);
    if (!cls || (*cls != 2 && *cls != 4 && *cls != 5) || !take_dot(text)) {
        return std::nullopt;
    }
    const auto subject_number = take_number(text);
    if (!subject_number || !take_dot(text)) {
        return std::nullopt;
    }
    const auto detail_number = take_number(text);
    if (!detail_number || !text.empty()) {
        return std::nullopt;
    }
    return EnhancedStatus(static_cast<std::uint8_t>(*cls), *subject_number, *detail_number);
}

std::string EnhancedStatus::to_string() const {
    return std::to_string(class_) + '.' + std::to_string(subject) + '.' + std::to_string(detail);
}

}  // namespace postern::mail
