// Which patterns are patterns; see the header.
#include "gateway/config/detail/domain_pattern.hpp"

#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/node.hpp"
#include "gateway/config/detail/refused.hpp"

namespace postern::config::detail {
namespace {

/// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
bool is_address_literal(std::string_view text) {
    constexpr std::string_view ipv6_tag = "ipv6:";
    if (text.size() < 3 || text.front() != '[' || text.back() != ']') {
        return false;
    }
    std::string_view inner = text.substr(1, text.size() - 2);
    const bool is_tagged = ascii_lower(inner.substr(0, ipv6_tag.size())) == ipv6_tag;
    if (is_tagged) {
        inner.remove_prefix(ipv6_tag.size());
    }
    const bool has_colon = inner.find(':') != std::string_view::npos;
    return is_tagged == has_colon && canonical_ip(inner).has_value();
}

}  // namespace

Result<std::string, std::string> parse_domain_pattern(std::string_view text) {
    constexpr std::string_view any_depth = "*.";
    const bool is_pattern = text.substr(0, any_depth.size()) == any_depth;
    const std::string_view name = is_pattern ? text.substr(any_depth.size()) : text;
    // A pattern is counted with one octet for what the star stands for.
    if (is_domain_name(name) && text.size() <= 255) {
        return accepted(ascii_lower(text));
    }
    if (!is_pattern && is_address_literal(text)) {
        return accepted(ascii_lower(text));
    }
    if (text == "*") {
        return Refused("would take mail for every domain there is; name the domains");
    }
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos && is_domain_name(text.substr(at + 1))) {
        return Refused(fmt::format("expected a domain, found an address; did you mean {}?",
                                   quote(std::string(text.substr(at + 1)))));
    }
    if (name.size() > 1 && name.back() == '.' && is_domain_name(name.substr(0, name.size() - 1))) {
        return Refused(fmt::format("a domain in mail has no dot at its end; did you mean {}?",
                                   quote(std::string(text.substr(0, text.size() - 1)))));
    }
    if (name.size() > 1 && name.front() == '.' && is_domain_name(name.substr(1))) {
        return Refused(
            fmt::format("a domain has no dot at its front; did you mean {}?", quote("*" + std::string(name))));
    }
    if (text.find('*') != std::string_view::npos) {
        return Refused("`*` stands alone in front, for any depth below a domain: \"*.example.com\"");
    }
    return Refused("expected a domain: example.com, \"*.example.com\" or \"[192.0.2.1]\"");
}

}  // namespace postern::config::detail
