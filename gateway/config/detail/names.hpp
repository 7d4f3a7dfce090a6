// Names of hosts and domains, and paths, as they may stand in the configuration.
#pragma once

#include <string>
#include <string_view>

namespace postern::config::detail {

[[nodiscard]] std::string ascii_lower(std::string_view text);

/// Labels of letters, digits and inner hyphens (RFC 5321 section 4.1.2), at most 63 octets each and 255 in all
/// (RFC 5321 section 4.5.3.1.2). Octets above 127 count as letters (RFC 6531 section 3.3).
[[nodiscard]] bool is_domain_name(std::string_view text);

/// Like a domain name, but of ASCII alone, at most 253 octets, also with '_' (containers are named so), and not what
/// only looks like an IPv4 address ("127.0.0.300").
[[nodiscard]] bool is_host_name(std::string_view text);

/// sockaddr_un holds 107 octets and a NUL.
constexpr std::size_t unix_path_octets_max = 107;

}  // namespace postern::config::detail
