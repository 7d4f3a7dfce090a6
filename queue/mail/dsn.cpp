#include "queue/mail/dsn.hpp"

namespace postern::mail {
namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";

// xchar of RFC 3461 section 4: what stands for itself.
bool is_xchar(char c) { return c >= '!' && c <= '~' && c != '+' && c != '='; }

}  // namespace

std::optional<std::string> decode_xtext(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_xchar(text[i])) {
            out += text[i];
            continue;
        }
        if (text[i] != '+' || text.size() - i < 3) {
            return std::nullopt;
        }
        const std::size_t high = hex_digits.find(text[i + 1]);
        const std::size_t low = hex_digits.find(text[i + 2]);
        if (high == std::string_view::npos || low == std::string_view::npos) {
            return std::nullopt;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::string encode_xtext(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_xchar(c)) {
            out += c;
            continue;
        }
        const auto value = static_cast<std::uint8_t>(c);
        out += '+';
        out += hex_digits[value >> 4];
        out += hex_digits[value & 15];
    }
    return out;
}

std::string to_string(DsnNotify notify) {
    static constexpr struct {
        DsnNotify flag;
        std::string_view name;
    } names[] = {{DsnNotify::never, "NEVER"},
                 {DsnNotify::success, "SUCCESS"},
                 {DsnNotify::failure, "FAILURE"},
                 {DsnNotify::delay, "DELAY"}};
    std::string out;
    for (const auto& [flag, name] : names) {
        if (contains(notify, flag)) {
            if (!out.empty()) {
                out += ',';
            }
            out += name;
        }
    }
    return out;
}

}  // namespace postern::mail
