// A mailbox, "local-part@domain", and the reverse path built on it. A value that exists is valid: its only way
// in from text is parse(), which knows the grammar of addresses, but not that of command lines.
//
// Source: RFC 5321 section 4.1.2 (Mailbox, Local-part, Domain, address-literal), section 4.5.3.1 (lengths),
//         RFC 6531 section 3.3 (UTF-8 in both halves).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "queue/mail/result.hpp"

namespace postern::mail {

/// Whether octets above 127 may stand in an address: only after SMTPUTF8 (RFC 6531 section 3.4).
enum class Utf8 : std::uint8_t { refused, allowed };

enum class AddressError : std::uint8_t {
    syntax,           ///< not an address
    local_too_long,   ///< local part over 64 octets (RFC 5321 section 4.5.3.1.1)
    domain_too_long,  ///< domain over 255 octets (RFC 5321 section 4.5.3.1.2)
    utf8_refused,     ///< octets above 127 where Utf8::refused, or not well-formed UTF-8
};

/// What is wrong, in words for the client: "local part longer than 64 octets".
[[nodiscard]] std::string_view describe(AddressError error);

/// Whether all of `text` is a domain or an address literal as a mailbox may have it.
[[nodiscard]] bool is_domain(std::string_view text, Utf8 utf8);

class Mailbox {
public:
    /// Reads a mailbox that is the whole of `text`: dot-atom or quoted local part, domain or address literal.
    /// The local part keeps its case and its octets; unneeded quotes are dropped ("a"@x is a@x), needed ones kept,
    /// with a backslash only where one must be. A mailbox parses from its own to_string().
    [[nodiscard]] static Result<Mailbox, AddressError> parse(std::string_view text, Utf8 utf8);

    /// As sent over the wire, quotes included where the grammar needs them.
    [[nodiscard]] const std::string& local_part() const noexcept { return local_part_; }
    /// As received; an address literal with its brackets. Compare with domain_key().
    [[nodiscard]] const std::string& domain() const noexcept { return domain_; }
    /// The domain with its ASCII letters in lower case: what routing compares. A U-label stays as it is and so never
    /// equals an A-label; who wants them equal converts both (RFC 5891) before.
    [[nodiscard]] std::string domain_key() const;
    /// The local part without quotes and backslashes: what a directory is asked for.
    [[nodiscard]] std::string unquoted_local_part() const;
    [[nodiscard]] bool is_ascii() const noexcept;
    [[nodiscard]] std::string to_string() const { return local_part_ + '@' + domain_; }

    friend bool operator==(const Mailbox&, const Mailbox&) = default;

private:
    Mailbox(std::string local_part, std::string domain)
        : local_part_(std::move(local_part)), domain_(std::move(domain)) {}

    std::string local_part_;
    std::string domain_;
};

/// MAIL's path: a mailbox, or nobody ("<>", the sender of reports; RFC 5321 section 4.5.5).
class ReversePath {
public:
    ReversePath() = default;
    explicit ReversePath(Mailbox mailbox) : mailbox_(std::move(mailbox)) {}

    [[nodiscard]] bool is_null() const noexcept { return !mailbox_.has_value(); }
    [[nodiscard]] const std::optional<Mailbox>& mailbox() const noexcept { return mailbox_; }
    /// "user@example.com", or "" for the null path. The brackets are the wire's.
    [[nodiscard]] std::string to_string() const { return mailbox_ ? mailbox_->to_string() : std::string(); }

    friend bool operator==(const ReversePath&, const ReversePath&) = default;

private:
    std::optional<Mailbox> mailbox_;
};

}  // namespace postern::mail
