#include "gateway/dns/names.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace postern::dns {

namespace {

constexpr std::size_t label_octets_max = 63;
constexpr std::size_t name_octets_max = 253;  // 255 on the wire
constexpr std::array<unsigned char, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_letter_of_names(char c) {
    return c > ' ' && c < '\x7f' && c != '\\' && c != '"' && c != '(' && c != ')' && c != ';' && c != '@';
}

bool is_letter_of_hosts(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

template <class Octet>
std::string reversed_octets(const Octet* octets, std::size_t count, std::string_view zone) {
    std::string name;
    for (std::size_t i = count; i-- > 0;) {
        name += std::to_string(octets[i]) + '.';
    }
    return name.append(zone);
}

struct Octets {
    std::array<unsigned char, 16> value{};
    bool is_v4 = false;  ///< the last four are the address
};

std::optional<Octets> octets_of(std::string_view address) {
    const std::string text(address);
    Octets octets;
    if (::inet_pton(AF_INET, text.c_str(), octets.value.data() + mapped_prefix.size()) == 1) {
        octets.is_v4 = true;
        return octets;
    }
    if (::inet_pton(AF_INET6, text.c_str(), octets.value.data()) == 1) {
        octets.is_v4 = std::equal(mapped_prefix.begin(), mapped_prefix.end(), octets.value.begin());
        return octets;
    }
    return std::nullopt;
}

std::string reversed(const Octets& octets, std::string_view zone) {
    if (octets.is_v4) {
        return reversed_octets(octets.value.data() + mapped_prefix.size(), 4, zone);
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string name;
    for (auto octet = octets.value.rbegin(); octet != octets.value.rend(); ++octet) {
        name += {digits[*octet & 15U], '.', digits[*octet >> 4U], '.'};
    }
    return name.append(zone);
}

}  // namespace

bool is_name(std::string_view name) {
    if (name.ends_with('.')) {
        name.remove_suffix(1);
    }
    if (name.empty() || name.size() > name_octets_max) {
        return false;
    }
    std::size_t label = 0;
    for (const char c : name) {
        if (c == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if (!is_letter_of_names(c) || ++label > label_octets_max) {
            return false;
        }
    }
    return label > 0;
}

bool is_host(std::string_view name) {
    return is_name(name) &&
           std::all_of(name.begin(), name.end(), [](char c) { return c == '.' || is_letter_of_hosts(c); }) &&
           std::any_of(name.begin(), name.end(), [](char c) { return c != '.' && (c < '0' || c > '9'); });
}

std::optional<std::string> reversed_below(std::string_view address, std::string_view zone) {
    const auto octets = octets_of(address);
    if (!octets) {
        return std::nullopt;
    }
    return reversed(*octets, zone);
}

std::optional<std::string> reverse_name(std::string_view address) {
    const auto octets = octets_of(address);
    if (!octets) {
        return std::nullopt;
    }
    return reversed(*octets, octets->is_v4 ? "in-addr.arpa" : "ip6.arpa");
}

}  // namespace postern::dns
