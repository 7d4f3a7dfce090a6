#include "smtp-server/detail/address_path.hpp"

#include <string>

#include "smtp-server/detail/words.hpp"

namespace postern::smtp_server::detail {
namespace {

using mail::AddressError;
using mail::Mailbox;
using mail::Utf8;

// "@a,@b:user@d" without "@a,@b:": accepted and dropped (RFC 5321 section 3.6.1 and appendix C). nullopt: a malformed
// route.
std::optional<std::string_view> without_route(std::string_view path, Utf8 utf8) {
    if (path.empty() || path.front() != '@') {
        return path;
    }
    while (true) {
        // An address literal has colons of its own.
        const std::size_t literal_end = path.substr(0, 2) == "@[" ? path.find(']') : 0;
        const std::size_t end = path.find_first_of(",:", literal_end);
        if (end == std::string_view::npos || path.front() != '@' || !mail::is_domain(path.substr(1, end - 1), utf8)) {
            return std::nullopt;
        }
        const bool was_last = path[end] == ':';
        path.remove_prefix(end + 1);
        if (was_last) {
            return path;
        }
        if (path.empty()) {
            return std::nullopt;
        }
    }
}

Result<Mailbox, AddressError> read_mailbox(std::string_view inside, Utf8 utf8) {
    const auto path = without_route(inside, utf8);
    if (!path) {
        return AddressError::syntax;
    }
    return Mailbox::parse(*path, utf8);
}

// RFC 6531 section 3.5 has a code of its own for MAIL and for RCPT where the address is good but for its UTF-8.
mail::Reply refusal(AddressError error, Utf8 utf8, std::uint16_t utf8_code, mail::EnhancedStatus bad_address) {
    if (error == AddressError::utf8_refused && utf8 == Utf8::refused) {
        return {utf8_code, {5, 6, 7}, "Address is not in plain ASCII, and MAIL was given without SMTPUTF8"};
    }
    if (error == AddressError::utf8_refused) {
        return {501, bad_address, "Address is not well-formed UTF-8"};
    }
    return {501, bad_address, "Bad address: " + std::string(describe(error))};
}

}  // namespace

std::optional<PathText> split_path(std::string_view text) {
    if (text.empty() || text.front() != '<') {
        return std::nullopt;
    }
    bool quoted = false;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            quoted = !quoted;
        } else if (text[i] == '\\' && quoted) {
            ++i;
        } else if (text[i] == '>' && !quoted) {
            return PathText{text.substr(1, i - 1), text.substr(i + 1)};
        }
    }
    return std::nullopt;
}

Result<mail::ReversePath, mail::Reply> read_reverse_path(std::string_view inside, Utf8 utf8) {
    if (inside.empty()) {
        return mail::ReversePath();
    }
    auto mailbox = read_mailbox(inside, utf8);
    if (!mailbox) {
        return refusal(mailbox.error(), utf8, 550, {5, 1, 7});
    }
    return mail::ReversePath(std::move(*mailbox));
}

Result<RcptCommand, mail::Reply> read_forward_path(std::string_view inside, Utf8 utf8, std::string_view hostname) {
    const bool bare_postmaster = equals_ignoring_case(inside, "POSTMASTER");
    // A host that has no name that a mailbox could bear still takes mail for its postmaster.
    auto mailbox = bare_postmaster ? Mailbox::parse("postmaster@" + std::string(hostname), Utf8::allowed)
                                   : read_mailbox(inside, utf8);
    if (!mailbox && bare_postmaster) {
        mailbox = Mailbox::parse("postmaster@localhost", Utf8::refused);
    }
    if (!mailbox) {
        return refusal(mailbox.error(), utf8, 553, {5, 1, 3});
    }
    return RcptCommand{std::move(*mailbox), bare_postmaster, {}};
}

}  // namespace postern::smtp_server::detail
