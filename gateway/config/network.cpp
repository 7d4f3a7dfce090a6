// IP networks: text to Network, and whether an address is in one.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "gateway/config/config.hpp"
#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/refused.hpp"

namespace postern::config {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/// An address with its family. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is taken for what it stands for.
struct Ip {
    std::array<std::uint8_t, 16> octets{};
    bool is_four = false;
    bool was_mapped = false;

    [[nodiscard]] int bits() const { return is_four ? 32 : 128; }
    [[nodiscard]] std::string to_string() const {
        std::array<char, INET6_ADDRSTRLEN> out{};
        ::inet_ntop(is_four ? AF_INET : AF_INET6, octets.data(), out.data(), static_cast<socklen_t>(out.size()));
        return out.data();
    }
    /// All bits behind the first `count` cleared.
    [[nodiscard]] Ip masked(int count) const {
        Ip result = *this;
        for (int bit = count; bit < bits(); ++bit) {
            auto& octet = result.octets.at(static_cast<std::size_t>(bit / 8));
            octet = static_cast<std::uint8_t>(octet & ~(0x80U >> (bit % 8)));
        }
        return result;
    }
};

std::optional<Ip> parse_ip(std::string_view text) {
    text = text.substr(0, text.find('%'));
    if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    const std::string terminated(text);
    Ip ip;
    if (::inet_pton(AF_INET, terminated.c_str(), ip.octets.data()) == 1) {
        ip.is_four = true;
        return ip;
    }
    if (::inet_pton(AF_INET6, terminated.c_str(), ip.octets.data()) != 1) {
        return std::nullopt;
    }
    if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), ip.octets.begin())) {
        Ip four;
        four.is_four = true;
        four.was_mapped = true;
        std::copy(ip.octets.begin() + 12, ip.octets.end(), four.octets.begin());
        return four;
    }
    return ip;
}

std::optional<int> parse_bits(std::string_view text) {
    int bits = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
    const bool is_spare_zero = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || bits < 0 || text.front() == '-' || is_spare_zero) {
        return std::nullopt;
    }
    return bits;
}

}  // namespace

bool Network::contains(const std::string& ip) const {
    const auto mine = parse_ip(address);
    const auto theirs = parse_ip(ip);
    if (!mine || !theirs || mine->is_four != theirs->is_four || bits < 0 || bits > mine->bits()) {
        return false;
    }
    return mine->masked(bits).octets == theirs->masked(bits).octets;
}

namespace detail {

Result<Network, std::string> parse_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view address = text.substr(0, slash);
    const auto ip = parse_ip(address);
    if (!ip || address.find('%') != std::string_view::npos) {
        return Refused("expected an IP address or a network such as 192.0.2.0/24 or \"2001:db8::/32\"");
    }
    int bits = ip->bits();
    if (slash != std::string_view::npos) {
        const int written_max = ip->was_mapped ? 128 : ip->bits();
        const int written_min = ip->was_mapped ? 96 : 0;
        const auto written = parse_bits(text.substr(slash + 1));
        if (!written || *written < written_min || *written > written_max) {
            return Refused(fmt::format("the prefix length is a number from {} to {}", written_min, written_max));
        }
        bits = ip->was_mapped ? *written - 96 : *written;
    }
    const Ip base = ip->masked(bits);
    if (base.octets != ip->octets) {
        return Refused(fmt::format("bits are set behind the prefix; did you mean `{}/{}`?", base.to_string(), bits));
    }
    return Network{base.to_string(), bits};
}

}  // namespace detail
}  // namespace postern::config
