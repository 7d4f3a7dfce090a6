// What a client asked to be told: the parameters of delivery status notifications, and xtext, their encoding.
// Source: RFC 3461 sections 4 and 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::mail {

/// RET= of MAIL: how much of the message a failure report returns (RFC 3461 section 4.3).
enum class DsnReturn : std::uint8_t { unspecified = 0, full = 1, headers = 2 };

/// NOTIFY= of RCPT (RFC 3461 section 4.1): a set of these; empty means that the parameter was absent.
enum class DsnNotify : std::uint8_t { unspecified = 0, never = 1, success = 2, failure = 4, delay = 8 };
[[nodiscard]] constexpr DsnNotify operator|(DsnNotify a, DsnNotify b) {
    return static_cast<DsnNotify>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
[[nodiscard]] constexpr bool contains(DsnNotify set, DsnNotify one) {
    return (static_cast<std::uint8_t>(set) & static_cast<std::uint8_t>(one)) != 0;
}

struct DsnMessageOptions {
    DsnReturn ret = DsnReturn::unspecified;
    std::string envid;  ///< ENVID= as received, still xtext; empty: absent. At most 100 octets decoded.

    friend bool operator==(const DsnMessageOptions&, const DsnMessageOptions&) = default;
};

struct DsnRecipientOptions {
    DsnNotify notify = DsnNotify::unspecified;
    std::string orcpt;  ///< ORCPT= as received, "rfc822;" and xtext; empty: absent. At most 500 octets.

    friend bool operator==(const DsnRecipientOptions&, const DsnRecipientOptions&) = default;
};

/// Undoes xtext (RFC 3461 section 4). nullopt: a bad "+XX", or a raw '+', '=', control or 8-bit character.
[[nodiscard]] std::optional<std::string> decode_xtext(std::string_view text);
[[nodiscard]] std::string encode_xtext(std::string_view text);

/// "SUCCESS,DELAY" as NOTIFY= has it; "" for unspecified.
[[nodiscard]] std::string to_string(DsnNotify notify);

}  // namespace postern::mail
