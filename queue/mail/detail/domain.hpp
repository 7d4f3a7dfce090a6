// The right side of an address: names and address literals. Source: RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531
// section 3.3.
#pragma once

#include <string_view>

namespace postern::mail::detail {

/// Letters, digits, hyphens inside, dots between; labels of at most 63 octets. Lenient in one thing: an underscore may
/// stand where a letter may, as sender domains with one are in use and Postfix takes them. Octets above 127 are taken
/// for letters; whether they may be there, and the length of the whole, is for the caller to judge.
[[nodiscard]] bool is_domain_name(std::string_view text);

/// "[192.0.2.1]" or "[IPv6:2001:db8::1]". Any other tag is refused: none is registered.
[[nodiscard]] bool is_address_literal(std::string_view text);

/// Four decimal numbers without leading zeros, which some readers take for octal.
[[nodiscard]] bool is_ipv4(std::string_view text);
[[nodiscard]] bool is_ipv6(std::string_view text);

}  // namespace postern::mail::detail
