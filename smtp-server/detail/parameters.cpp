#include "smtp-server/detail/parameters.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "queue/mail/dsn.hpp"
#include "queue/mail/utf8.hpp"
#include "smtp-server/detail/words.hpp"

namespace postern::smtp_server::detail {
namespace {

using mail::DsnNotify;
using Refusal = std::optional<mail::Reply>;

constexpr std::size_t envid_octets_max = 100;  // RFC 3461 section 4.4
constexpr std::size_t orcpt_octets_max = 500;  // RFC 3461 section 4.2

struct Parameter {
    std::string_view keyword;
    std::optional<std::string_view> value;  // nothing: no '='
};

Refusal bad(std::string_view what) { return mail::Reply(501, {5, 5, 4}, std::string(what)); }

bool is_keyword(std::string_view text) {
    return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
        const char upper = to_upper(c);
        return (upper >= 'A' && upper <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    });
}

// Control characters and spaces do not come this far.
bool is_value(std::string_view text) { return !text.empty() && text.find('=') == std::string_view::npos; }

// Calls `take(parameter)` for each; the first refusal ends it. `Keywords` are those known, each allowed once.
template <std::size_t count, class Take>
Refusal read_parameters(std::string_view text, const std::array<std::string_view, count>& keywords, Take take) {
    std::array<bool, count> seen{};
    if (!text.empty() && text.front() != ' ') {
        return bad("Only a space may follow the path");
    }
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    while (!text.empty()) {
        const std::string_view word = take_word(text);
        const std::size_t equals = word.find('=');
        Parameter parameter{word.substr(0, equals), std::nullopt};
        if (equals != std::string_view::npos) {
            parameter.value = word.substr(equals + 1);
        }
        if (!is_keyword(parameter.keyword) || (parameter.value && !is_value(*parameter.value))) {
            return bad("Bad parameter syntax");
        }
        const auto known = std::find_if(keywords.begin(), keywords.end(), [&](std::string_view keyword) {
            return equals_ignoring_case(parameter.keyword, keyword);
        });
        if (known == keywords.end()) {
            return mail::Reply(555, {5, 5, 4}, "Unknown parameter");
        }
        const auto index = static_cast<std::size_t>(known - keywords.begin());
        if (seen[index]) {
            return bad("Parameter given twice");
        }
        seen[index] = true;
        if (Refusal refusal = take(*known, parameter.value)) {
            return refusal;
        }
    }
    return std::nullopt;
}

// What may enter a report as a header field: printable US-ASCII (RFC 3461 sections 4.2 and 4.4).
bool is_printable_xtext(std::string_view text) {
    const auto decoded = mail::decode_xtext(text);
    return decoded && std::all_of(decoded->begin(), decoded->end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// "\x{20AC}": 1 to 6 upper case digits for a character that is not a control (RFC 6533 section 3). Taken off the front.
bool take_embedded_character(std::string_view& text) {
    if (text.substr(0, 3) != "\\x{") {
        return false;
    }
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos || end == 3 || end > 9) {
        return false;
    }
    std::uint32_t value = 0;
    for (const char c : text.substr(3, end - 3)) {
        const std::size_t digit = std::string_view("0123456789ABCDEF").find(c);
        if (digit == std::string_view::npos) {
            return false;
        }
        value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    text.remove_prefix(end + 1);
    return value >= 0x20 && !(value >= 0x7F && value < 0xA0) && !(value >= 0xD800 && value < 0xE000) &&
           value <= 0x10FFFF;
}

// utf-8-addr-xtext, and where UTF-8 is allowed utf-8-addr-unitext (RFC 6533 section 3).
bool is_utf8_address(std::string_view text, mail::Utf8 utf8) {
    while (!text.empty()) {
        if (text.front() == '\\') {
            if (!take_embedded_character(text)) {
                return false;
            }
            continue;
        }
        const std::size_t length = mail::utf8_length(text);
        if (length == 0 || mail::is_unsafe_character(text.substr(0, length)) || text.front() == '+' ||
            text.front() == '=' || (length > 1 && utf8 == mail::Utf8::refused)) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

bool is_address_type(std::string_view text) {
    return is_keyword(text);  // an atom in the grammar; the registered ones are letters, digits and hyphens
}

Refusal read_size(std::string_view value, MailCommand& command) {
    const auto size = read_number(value);
    if (!size) {
        return bad("SIZE is a number of octets");
    }
    command.size = *size;
    return std::nullopt;
}

Refusal read_body(std::string_view value, MailCommand& command) {
    if (equals_ignoring_case(value, "BINARYMIME")) {
        return mail::Reply(504, {5, 5, 4}, "BODY=BINARYMIME is not offered");
    }
    command.body_8bit = equals_ignoring_case(value, "8BITMIME");
    return command.body_8bit || equals_ignoring_case(value, "7BIT") ? Refusal() : bad("BODY is 7BIT or 8BITMIME");
}

Refusal read_ret(std::string_view value, MailCommand& command) {
    const bool full = equals_ignoring_case(value, "FULL");
    if (!full && !equals_ignoring_case(value, "HDRS")) {
        return bad("RET is FULL or HDRS");
    }
    command.dsn.ret = full ? mail::DsnReturn::full : mail::DsnReturn::headers;
    return std::nullopt;
}

Refusal read_envid(std::string_view value, MailCommand& command) {
    if (value.size() > envid_octets_max || !is_printable_xtext(value)) {
        return bad("ENVID is xtext of at most 100 octets");
    }
    command.dsn.envid = value;
    return std::nullopt;
}

Refusal read_notify(std::string_view value, RcptCommand& command) {
    static constexpr struct {
        std::string_view name;
        DsnNotify flag;
    } names[] = {{"NEVER", DsnNotify::never},
                 {"SUCCESS", DsnNotify::success},
                 {"FAILURE", DsnNotify::failure},
                 {"DELAY", DsnNotify::delay}};
    DsnNotify notify = DsnNotify::unspecified;
    for (bool more = true; more;) {
        const std::size_t comma = value.find(',');
        const std::string_view word = value.substr(0, comma);
        const auto* const known = std::find_if(std::begin(names), std::end(names),
                                               [&](const auto& name) { return equals_ignoring_case(word, name.name); });
        if (known == std::end(names)) {
            return bad("NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY");
        }
        notify = notify | known->flag;
        more = comma != std::string_view::npos;
        value.remove_prefix(more ? comma + 1 : value.size());
    }
    if (contains(notify, DsnNotify::never) && notify != DsnNotify::never) {
        return bad("NOTIFY=NEVER stands alone");
    }
    command.dsn.notify = notify;
    return std::nullopt;
}

Refusal read_orcpt(std::string_view value, mail::Utf8 utf8, RcptCommand& command) {
    const std::size_t semicolon = value.find(';');
    if (value.size() > orcpt_octets_max || semicolon == std::string_view::npos) {
        return bad("ORCPT is a type, a semicolon and xtext, at most 500 octets");
    }
    const std::string_view type = value.substr(0, semicolon);
    const std::string_view address = value.substr(semicolon + 1);
    const bool good =
        equals_ignoring_case(type, "UTF-8") ? is_utf8_address(address, utf8) : is_printable_xtext(address);
    if (!is_address_type(type) || address.empty() || !good) {
        return bad("ORCPT is a type, a semicolon and xtext, at most 500 octets");
    }
    command.dsn.orcpt = value;
    return std::nullopt;
}

}  // namespace

Refusal read_mail_parameters(std::string_view text, MailCommand& command) {
    static constexpr std::array<std::string_view, 6> keywords = {"SIZE", "BODY",  "SMTPUTF8",
                                                                 "RET",  "ENVID", "REQUIRETLS"};
    return read_parameters(text, keywords,
                           [&](std::string_view keyword, std::optional<std::string_view> value) -> Refusal {
                               if (keyword == "SMTPUTF8") {
                                   command.smtputf8 = true;
                                   return value ? bad("SMTPUTF8 takes no value") : Refusal();
                               }
                               if (keyword == "REQUIRETLS") {
                                   command.require_tls = true;
                                   return value ? bad("REQUIRETLS takes no value") : Refusal();
                               }
                               if (!value) {
                                   return bad("Parameter lacks its value");
                               }
                               if (keyword == "SIZE") {
                                   return read_size(*value, command);
                               }
                               if (keyword == "BODY") {
                                   return read_body(*value, command);
                               }
                               return keyword == "RET" ? read_ret(*value, command) : read_envid(*value, command);
                           });
}

Refusal read_rcpt_parameters(std::string_view text, mail::Utf8 utf8, RcptCommand& command) {
    static constexpr std::array<std::string_view, 2> keywords = {"NOTIFY", "ORCPT"};
    return read_parameters(
        text, keywords, [&](std::string_view keyword, std::optional<std::string_view> value) -> Refusal {
            if (!value) {
                return bad("Parameter lacks its value");
            }
            return keyword == "NOTIFY" ? read_notify(*value, command) : read_orcpt(*value, utf8, command);
        });
}

}  // namespace postern::smtp_server::detail
