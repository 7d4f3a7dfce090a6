// `dns`: whom to ask about names, and what its signatures are checked against.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

constexpr std::uint16_t usual_port = 53;

/// "ADDRESS" or "ADDRESS:PORT" (IPv6 with a port in brackets). Names are none: who would be asked for them?
std::optional<Address> parse_server(const std::string& text) {
    Address server;
    if (const auto ip = canonical_ip(text)) {
        server.host = *ip;
        server.port = usual_port;
        return server;
    }
    const auto address = parse_address(text, PortZero::refused);
    if (!address || !canonical_ip(address->host)) {
        return std::nullopt;
    }
    return *address;
}

}  // namespace

void read_dns(const Node& node, Dns& dns, Problems& problems) {
    using namespace std::chrono_literals;
    constexpr std::string_view expected = "the IP address of a DNS server, with or without a port";
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    for (const Node& item : section.list("servers", "a list of DNS servers, as [\"127.0.0.1:53\"]")) {
        const auto text = item_text(item, "servers", expected, problems);
        if (!text) {
            continue;
        }
        if (auto server = parse_server(*text)) {
            dns.servers.push_back(std::move(*server));
        } else {
            problems.error(item.at, fmt::format("`servers`: expected {}, found {}", expected, quote(*text)));
        }
    }
    if (const auto anchor = section.text("trust_anchor", "an absolute path, or none")) {
        if (*anchor == "none") {
            dns.trust_anchor.clear();
        } else {
            section.path("trust_anchor", dns.trust_anchor);
        }
    }
    section.duration("timeout", dns.timeout, {100ms, 1min});
    section.finish();
}

}  // namespace postern::config::detail
