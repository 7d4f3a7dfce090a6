#include "gateway/screening/suspicion.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "gateway/dns/names.hpp"

namespace postern::screening {

namespace {

constexpr std::array<std::string_view, 22> customers = {
    "adsl",    "broadband", "cable", "client", "cust", "customer", "customers", "dhcp", "dial", "dialup",      "dsl",
    "dynamic", "dyn",       "home",  "mobile", "pool", "ppp",      "pppoe",     "res",  "user", "residential", "vdsl"};

std::string lower(std::string_view text) {
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return low;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

/// What stands before the domain that somebody owns: all but the last two labels, as far as there are more.
std::string_view host_part(std::string_view name) {
    const std::size_t last = name.rfind('.');
    const std::size_t before = last == std::string_view::npos || last == 0 ? last : name.rfind('.', last - 1);
    return before == std::string_view::npos ? name : name.substr(0, before);
}

template <class Is>
std::vector<std::string> sequences(std::string_view text, Is is) {
    std::vector<std::string> found;
    bool inside = false;
    for (const char c : text) {
        if (is(c)) {
            if (!inside) {
                found.emplace_back();
            }
            found.back() += c;
        }
        inside = is(c);
    }
    return found;
}

std::string hex(const unsigned char* octets, std::size_t count) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += digits[octets[i] >> 4];
        text += digits[octets[i] & 15];
    }
    return text;
}

/// Three of the four numbers of the address, or all of it in hexadecimal or with leading zeros.
bool tells_address(std::string_view host, const std::array<unsigned char, 4>& octets) {
    std::vector<std::string> wanted;
    std::string padded;
    for (const unsigned char octet : octets) {
        wanted.push_back(std::to_string(octet));
        padded += std::string(3 - wanted.back().size(), '0') + wanted.back();
    }
    if (host.find(padded) != std::string_view::npos || host.find(hex(octets.data(), 4)) != std::string_view::npos) {
        return true;
    }
    for (const std::string& number : sequences(host, is_digit)) {
        const std::size_t begin = std::min(number.find_first_not_of('0'), number.size() - 1);
        const auto place = std::find(wanted.begin(), wanted.end(), number.substr(begin));
        if (place != wanted.end()) {
            wanted.erase(place);
        }
    }
    return wanted.size() <= 1;
}

/// The half of the address that its network gave it.
bool tells_address(std::string_view host, const std::array<unsigned char, 16>& octets) {
    std::string packed;
    std::copy_if(host.begin(), host.end(), std::back_inserter(packed), [](char c) { return c != '-' && c != '.'; });
    return packed.find(hex(octets.data() + 8, 8)) != std::string::npos;
}

bool is_full_name(std::string_view helo) {
    const std::size_t last = helo.rfind('.');
    return dns::is_host(helo) && last != std::string_view::npos && last > 0 && last + 1 < helo.size() &&
           !is_digit(helo.back());
}

}  // namespace

bool is_generic(std::string_view name, std::string_view address) {
    const std::string low = lower(name);
    const std::string_view host = host_part(low);
    std::array<unsigned char, 4> four{};
    std::array<unsigned char, 16> six{};
    const std::string text(address);
    if (::inet_pton(AF_INET, text.c_str(), four.data()) == 1) {
        if (tells_address(host, four)) {
            return true;
        }
    } else if (::inet_pton(AF_INET6, text.c_str(), six.data()) == 1 && tells_address(host, six)) {
        return true;
    }
    if (std::none_of(host.begin(), host.end(), is_digit)) {
        return false;  // "pool.example.com" may be a host's own name; "pool-17.example.com" is one of many
    }
    const auto words = sequences(host, is_letter);
    return std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return std::find(customers.begin(), customers.end(), word) != customers.end();
    });
}

std::optional<std::string_view> suspicion(const ClientFacts& client, std::string_view own_name,
                                          std::int64_t suspect_at) {
    if (client.score >= suspect_at) {
        return "your address is on a list";
    }
    if (lower(client.helo) == lower(own_name)) {
        return "HELO gives our name as yours";
    }
    if (client.helo.starts_with('[')) {
        return "HELO is an address, not a name";
    }
    if (!is_full_name(client.helo)) {
        return "HELO is not the full name of a host";
    }
    switch (client.reverse) {
        case ReverseName::none:
            return "your address has no name";
        case ReverseName::unconfirmed:
            return "the name of your address does not lead back to it";
        case ReverseName::confirmed:
            if (is_generic(client.name, client.address)) {
                return "the name of your address is one of many like it";
            }
            return std::nullopt;  // then it may call itself what it likes
        case ReverseName::unknown:
            break;
    }
    if (is_generic(client.helo, client.address)) {
        return "HELO is one of many names like it";
    }
    return std::nullopt;
}

}  // namespace postern::screening
