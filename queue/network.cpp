// Clients by address; see the header.
#include "queue/network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace postern::queue {
namespace {

constexpr unsigned mapped_bits = 96;  // the ::ffff:0:0/96 in front of an IPv4 address (RFC 4291 section 2.5.5.2)

/// The prefix length: digits alone, no leading zero, at most `limit`.
std::optional<unsigned> parse_bits(std::string_view text, unsigned limit) {
    unsigned bits = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, bits);
    if (error != std::errc() || stop != end || bits > limit || (text.size() > 1 && text.front() == '0')) {
        return std::nullopt;
    }
    return bits;
}

}  // namespace

std::optional<IpOctets> parse_ip(std::string_view text) {
    // inet_pton reads to a NUL: one inside the text must not end it early.
    if (text.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    IpOctets octets{};
    std::array<std::uint8_t, 4> four{};
    if (::inet_pton(AF_INET, std::string(text).c_str(), four.data()) == 1) {
        octets[10] = 0xFF;
        octets[11] = 0xFF;
        std::copy(four.begin(), four.end(), octets.begin() + 12);
        return octets;
    }
    const std::string without_zone(text.substr(0, text.find('%')));
    if (::inet_pton(AF_INET6, without_zone.c_str(), octets.data()) == 1) {
        return octets;
    }
    return std::nullopt;
}

std::optional<ClientNetwork> ClientNetwork::parse(std::string_view text) {
    const auto slash = text.find('/');
    const std::string_view address_text = text.substr(0, slash);
    const auto address = parse_ip(address_text);
    if (!address) {
        return std::nullopt;
    }
    if (slash == std::string_view::npos) {
        return ClientNetwork(*address, 128);
    }
    const bool is_four = address_text.find(':') == std::string_view::npos;
    const auto bits = parse_bits(text.substr(slash + 1), is_four ? 32 : 128);
    if (!bits) {
        return std::nullopt;
    }
    return ClientNetwork(*address, is_four ? *bits + mapped_bits : *bits);
}

bool ClientNetwork::contains(const IpOctets& address) const noexcept {
    const std::size_t whole = bits_ / 8;
    if (!std::equal(address_.begin(), address_.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) {
        return false;
    }
    const unsigned rest = bits_ % 8;
    if (rest == 0) {
        return true;
    }
    const unsigned mask = 0xFFU & (0xFFU << (8 - rest));
    return ((address_.at(whole) ^ address.at(whole)) & mask) == 0;
}

ClientNetworkSet::ClientNetworkSet(const std::vector<std::string>& networks) {
    for (const std::string& text : networks) {
        if (const auto network = ClientNetwork::parse(text)) {
            networks_.push_back(*network);
        }
    }
}

bool ClientNetworkSet::contains(std::string_view client) const {
    if (networks_.empty()) {
        return false;
    }
    const auto address = parse_ip(client);
    return address && std::any_of(networks_.begin(), networks_.end(),
                                  [&address](const ClientNetwork& network) { return network.contains(*address); });
}

}  // namespace postern::queue
