// The written form of a store's address.
#include <arpa/inet.h>

#include <charconv>

#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client {

namespace {

constexpr std::string_view smtp_prefix = "smtp://";

}  // namespace

std::string Endpoint::to_string() const {
    std::string out(protocol == Protocol::smtp ? smtp_prefix : std::string_view());
    if (!unix_path.empty()) {
        return out + "unix:" + unix_path;
    }
    const bool is_ipv6 = host.find(':') != std::string::npos;
    out += is_ipv6 ? "[" + host + "]" : host;
    return out + ":" + std::to_string(port);
}

bool Endpoint::is_local() const {
    if (!unix_path.empty()) {
        return true;
    }
    in_addr four{};
    in6_addr six{};
    if (::inet_pton(AF_INET, host.c_str(), &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    constexpr std::string_view unix_prefix = "unix:";
    Endpoint endpoint;
    if (text.starts_with(smtp_prefix)) {
        endpoint.protocol = Protocol::smtp;
        text.remove_prefix(smtp_prefix.size());
    }
    if (text.substr(0, unix_prefix.size()) == unix_prefix) {
        endpoint.unix_path = text.substr(unix_prefix.size());
        return endpoint.unix_path.empty() ? std::nullopt : std::optional(endpoint);
    }
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        return std::nullopt;
    }
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::nullopt;  // "::1:24" could be read in two ways
    }
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (host.empty() || error != std::errc() || end != port.data() + port.size() || endpoint.port == 0) {
        return std::nullopt;
    }
    endpoint.host = host;
    return endpoint;
}

}  // namespace postern::lmtp_client
