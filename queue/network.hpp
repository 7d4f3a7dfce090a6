// The clients that a filter means: an IP address, or a network as ADDRESS/BITS. Numbers alone; no names, no sockets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::queue {

/// An IPv4 address is kept as its IPv4-mapped IPv6 address, so that ::ffff:192.0.2.1 and 192.0.2.1 are the same client.
using IpOctets = std::array<std::uint8_t, 16>;

/// Reads an address that is the whole of `text`; a zone ("fe80::1%eth0") is dropped. nullopt: not an address.
[[nodiscard]] std::optional<IpOctets> parse_ip(std::string_view text);

class ClientNetwork {
public:
    /// "192.0.2.1", "192.0.2.0/24", "2001:db8::/32". Bits set behind the prefix are ignored. nullopt: neither address
    /// nor network.
    [[nodiscard]] static std::optional<ClientNetwork> parse(std::string_view text);
    [[nodiscard]] bool contains(const IpOctets& address) const noexcept;

private:
    ClientNetwork(const IpOctets& address, unsigned bits) : address_(address), bits_(bits) {}

    IpOctets address_;
    unsigned bits_;  ///< of 128
};

/// Networks of which one must hold the client. What is no network holds nobody: a mistyped filter must not widen a
/// command.
class ClientNetworkSet {
public:
    explicit ClientNetworkSet(const std::vector<std::string>& networks);
    /// `client`: an address as stored; empty (a Unix socket) is in no network.
    [[nodiscard]] bool contains(std::string_view client) const;

private:
    std::vector<ClientNetwork> networks_;
};

}  // namespace postern::queue
