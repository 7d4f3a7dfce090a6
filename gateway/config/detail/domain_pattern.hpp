// The left side of `domains`: "example.com", "*.example.com", "[192.0.2.1]".
#pragma once

#include <string>
#include <string_view>

#include "queue/mail/result.hpp"

namespace postern::config::detail {

/// The pattern in lower case ASCII; other octets are kept and compared as they are (internationalised names are not yet
/// converted, so a domain that comes in both forms is written in both). The error says what is wrong, with a proposal
/// where there is one.
[[nodiscard]] Result<std::string, std::string> parse_domain_pattern(std::string_view text);

}  // namespace postern::config::detail
