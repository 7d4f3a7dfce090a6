// Addresses as the configuration writes them: "HOST:PORT", "[::]:25", "unix:/path".
#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "gateway/config/config.hpp"
#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/refused.hpp"

namespace postern::config {

std::string Address::to_string() const {
    if (!unix_path.empty()) {
        return "unix:" + unix_path;
    }
    const bool is_ipv6 = host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
}

namespace detail {
namespace {

constexpr const char* form = "expected HOST:PORT, \"[IPV6]:PORT\" or \"unix:/path\"";

Result<Address, std::string> parse_unix(std::string_view path) {
    if (path.empty() || path.front() != '/') {
        return Refused("the path of a Unix socket begins with /");
    }
    if (path.size() > unix_path_octets_max) {
        return Refused(fmt::format("the path of a Unix socket has at most {} octets, this one {}", unix_path_octets_max,
                                   path.size()));
    }
    Address address;
    address.unix_path = path;
    return address;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text.front() == '0')) {
        return std::nullopt;
    }
    return port;
}

Result<std::string, std::string> parse_host(std::string_view text) {
    if (!text.empty() && text.front() == '[' && text.back() == ']') {
        const auto ip = canonical_ip(text.substr(1, text.size() - 2));
        if (!ip || ip->find(':') == std::string::npos) {
            return Refused("what stands in brackets is not an IPv6 address");
        }
        return accepted(*ip);
    }
    if (text.find(':') != std::string_view::npos) {
        return Refused("an IPv6 address stands in brackets: \"[::1]:24\"");
    }
    if (text == "*") {
        return Refused("for all addresses write 0.0.0.0:PORT or \"[::]:PORT\"");
    }
    if (const auto ip = canonical_ip(text)) {
        return accepted(*ip);
    }
    if (!is_host_name(text)) {
        return Refused("what stands before the port is neither an IP address nor a host name");
    }
    return accepted(ascii_lower(text));
}

}  // namespace

std::optional<std::string> canonical_ip(std::string_view text) {
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    const std::string terminated(text);
    const int family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
    in6_addr binary{};
    std::array<char, INET6_ADDRSTRLEN> out{};
    if (::inet_pton(family, terminated.c_str(), &binary) != 1 ||
        ::inet_ntop(family, &binary, out.data(), static_cast<socklen_t>(out.size())) == nullptr) {
        return std::nullopt;
    }
    return std::string(out.data());
}

Result<Address, std::string> parse_address(std::string_view text, PortZero port_zero) {
    constexpr std::string_view unix_prefix = "unix:";
    if (text.substr(0, unix_prefix.size()) == unix_prefix) {
        return parse_unix(text.substr(unix_prefix.size()));
    }
    if (!text.empty() && text.front() == '/') {
        return Refused("a Unix socket is written \"unix:/path\"");
    }
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        return Refused(form);
    }
    const auto port = parse_port(text.substr(colon + 1));
    if (!port || (*port == 0 && port_zero == PortZero::refused)) {
        return Refused(fmt::format("the port is a number from {} to 65535", port_zero == PortZero::refused ? 1 : 0));
    }
    const auto host = parse_host(text.substr(0, colon));
    if (!host) {
        return Refused(host.error());
    }
    Address address;
    address.host = *host;
    address.port = *port;
    return address;
}

}  // namespace detail
}  // namespace postern::config
