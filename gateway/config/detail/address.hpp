// Text to Address and Network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/config/config.hpp"
#include "queue/mail/result.hpp"

namespace postern::config::detail {

/// Whether port 0 (the kernel chooses) is an address: to listen on, not to connect to.
enum class PortZero : std::uint8_t { refused, allowed };

/// "HOST:PORT", "[IPv6]:PORT" or "unix:/path". IP addresses become canonical, names lower case. The error says what is
/// wrong.
[[nodiscard]] Result<Address, std::string> parse_address(std::string_view text, PortZero port_zero);

/// "ADDRESS/BITS", or an address alone. Bits set behind the prefix are an error: one of the two numbers is not what was
/// meant.
[[nodiscard]] Result<Network, std::string> parse_network(std::string_view text);

/// The canonical text of an IPv4 or IPv6 address; nullopt: not one.
[[nodiscard]] std::optional<std::string> canonical_ip(std::string_view text);

}  // namespace postern::config::detail
