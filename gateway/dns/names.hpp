// Names as the domain name system has them, in text: "mx1.example.com", lower case, no dot at the end; the root is "".
//
// Source: RFC 1035 sections 2.3.4 (lengths) and 3.5 (in-addr.arpa), RFC 3596 section 2.5 (ip6.arpa), RFC 5782 section
// 2.1 (lists of addresses are asked in the same way).
// Threads: any; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postern::dns {

/// Whether `name` can be asked for: labels of 1 to 63 octets, 253 in all, of printable ASCII without spaces, quotes and
/// backslashes. One dot at the end is allowed. (A UTF-8 name is converted to A-labels before, RFC 5891.)
[[nodiscard]] bool is_name(std::string_view name);

/// A domain as the DNS knows it: in lower case, and what is UTF-8 in A-labels (RFC 5891 section 5). nullopt: it cannot
/// be there.
[[nodiscard]] std::optional<std::string> to_a_labels(const std::string& domain);

/// Whether `name` is one that a host may have (RFC 1123 section 2.1, with the underscores that there are): letters,
/// digits, '-' and '_', not all of it digits.
[[nodiscard]] bool is_host(std::string_view name);

/// The labels under which an IP address stands below `zone`: for "192.0.2.1" and "in-addr.arpa"
/// "1.2.0.192.in-addr.arpa"; an IPv6 address gives 32 labels. An IPv4-mapped one counts as its IPv4 address.
/// nullopt: `address` is not one.
[[nodiscard]] std::optional<std::string> reversed_below(std::string_view address, std::string_view zone);

/// Where the name of `address` is found: reversed_below() in-addr.arpa or ip6.arpa.
[[nodiscard]] std::optional<std::string> reverse_name(std::string_view address);

}  // namespace postern::dns
