#include "queue/mail/mailbox.hpp"

#include <algorithm>

#include "queue/mail/detail/domain.hpp"
#include "queue/mail/printable.hpp"

namespace postern::mail {
namespace {

constexpr std::size_t local_part_octets_max = 64;  // RFC 5321 section 4.5.3.1.1
constexpr std::size_t domain_octets_max = 255;     // RFC 5321 section 4.5.3.1.2

bool is_ascii_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<std::uint8_t>(c) < 128; });
}

// RFC 5322 section 3.2.3, and RFC 6531 section 3.3 for what is above 127.
bool is_atext(char c) {
    static constexpr std::string_view marks = "!#$%&'*+-/=?^_`{|}~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           static_cast<std::uint8_t>(c) > 127 || marks.find(c) != std::string_view::npos;
}

// Dot-string: atoms with single dots between them.
bool is_dot_string(std::string_view text) {
    bool atom_begun = false;
    for (const char c : text) {
        if (c == '.' ? !atom_begun : !is_atext(c)) {
            return false;
        }
        atom_begun = c != '.';
    }
    return atom_begun;
}

struct Split {
    std::string local;  // without quotes
    std::string_view domain;
};

// A Quoted-string and the '@' behind it. Control characters may not stand in it, not even behind a backslash.
std::optional<Split> split_quoted(std::string_view text) {
    Split split;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            if (i + 1 == text.size() || text[i + 1] != '@') {
                return std::nullopt;
            }
            split.domain = text.substr(i + 2);
            return split;
        }
        if (text[i] == '\\') {
            ++i;
            if (i == text.size() || static_cast<std::uint8_t>(text[i]) > 126) {
                return std::nullopt;
            }
        }
        if (static_cast<std::uint8_t>(text[i]) < 32 || text[i] == 127) {
            return std::nullopt;
        }
        split.local += text[i];
    }
    return std::nullopt;
}

std::optional<Split> split_at(std::string_view text) {
    if (!text.empty() && text.front() == '"') {
        return split_quoted(text);
    }
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos || !is_dot_string(text.substr(0, at))) {
        return std::nullopt;
    }
    return Split{std::string(text.substr(0, at)), text.substr(at + 1)};
}

std::string quoted_where_needed(std::string local) {
    if (is_dot_string(local)) {
        return local;
    }
    std::string out = "\"";
    for (const char c : local) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    out += '"';
    return out;
}

}  // namespace

std::string_view describe(AddressError error) {
    switch (error) {
        case AddressError::syntax:
            return "not a mail address";
        case AddressError::local_too_long:
            return "local part longer than 64 octets";
        case AddressError::domain_too_long:
            return "domain longer than 255 octets";
        case AddressError::utf8_refused:
            return "address is not in plain ASCII";
    }
    return "not a mail address";
}

bool is_domain(std::string_view text, Utf8 utf8) {
    if (text.size() > domain_octets_max) {
        return false;
    }
    if (!is_ascii_text(text) && (utf8 == Utf8::refused || !is_printable(text))) {
        return false;
    }
    return detail::is_domain_name(text) || detail::is_address_literal(text);
}

Result<Mailbox, AddressError> Mailbox::parse(std::string_view text, Utf8 utf8) {
    std::optional<Split> split = split_at(text);
    if (!split || split->domain.empty()) {
        return AddressError::syntax;
    }
    std::string local = quoted_where_needed(std::move(split->local));
    if (local.size() > local_part_octets_max) {
        return AddressError::local_too_long;
    }
    if (split->domain.size() > domain_octets_max) {
        return AddressError::domain_too_long;
    }
    if (!is_ascii_text(text) && (utf8 == Utf8::refused || !is_printable(text))) {
        return AddressError::utf8_refused;
    }
    if (!is_domain(split->domain, utf8)) {
        return AddressError::syntax;
    }
    return Mailbox(std::move(local), std::string(split->domain));
}

std::string Mailbox::domain_key() const {
    std::string key = domain_;
    for (char& c : key) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c + ('a' - 'A'));
        }
    }
    return key;
}

std::string Mailbox::unquoted_local_part() const {
    if (local_part_.empty() || local_part_.front() != '"') {
        return local_part_;
    }
    std::string out;
    for (std::size_t i = 1; i + 1 < local_part_.size(); ++i) {
        if (local_part_[i] == '\\') {
            ++i;
        }
        out += local_part_[i];
    }
    return out;
}

bool Mailbox::is_ascii() const noexcept { return is_ascii_text(local_part_) && is_ascii_text(domain_); }

}  // namespace postern::mail
