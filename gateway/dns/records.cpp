#include "gateway/dns/records.hpp"

#include <arpa/inet.h>

#include <array>

namespace postern::dns {

namespace {

constexpr std::size_t wire_label_octets_max = 63;
constexpr std::size_t wire_name_octets_max = 255;

bool is_plain(unsigned char octet) {
    constexpr std::string_view special = ".\\\"();@";
    return octet > ' ' && octet < 0x7f && special.find(static_cast<char>(octet)) == std::string_view::npos;
}

void append_octet(std::string& text, unsigned char octet) {
    if (octet >= 'A' && octet <= 'Z') {
        text += static_cast<char>(octet - 'A' + 'a');
    } else if (is_plain(octet)) {
        text += static_cast<char>(octet);
    } else {
        text += '\\';
        text += static_cast<char>('0' + octet / 100);
        text += static_cast<char>('0' + octet / 10 % 10);
        text += static_cast<char>('0' + octet % 10);
    }
}

/// A name that is all of `octets`.
std::optional<DomainName> parse_name(std::string_view octets) {
    if (octets.size() > wire_name_octets_max) {
        return std::nullopt;
    }
    DomainName name;
    while (!octets.empty()) {
        const std::size_t length = static_cast<unsigned char>(octets.front());
        octets.remove_prefix(1);
        if (length == 0) {
            return octets.empty() ? std::optional(std::move(name)) : std::nullopt;
        }
        if (length > wire_label_octets_max || length > octets.size()) {
            return std::nullopt;
        }
        if (!name.text.empty()) {
            name.text += '.';
        }
        for (const char c : octets.substr(0, length)) {
            append_octet(name.text, static_cast<unsigned char>(c));
        }
        octets.remove_prefix(length);
    }
    return std::nullopt;  // no root
}

std::optional<Record> parse_address(int family, std::size_t size, std::string_view octets) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (octets.size() != size || ::inet_ntop(family, octets.data(), text.data(), text.size()) == nullptr) {
        return std::nullopt;
    }
    return Address{text.data()};
}

std::optional<Record> parse_mx(std::string_view octets) {
    if (octets.size() < 3) {
        return std::nullopt;
    }
    auto host = parse_name(octets.substr(2));
    if (!host) {
        return std::nullopt;
    }
    const unsigned high = static_cast<unsigned char>(octets[0]);
    const unsigned low = static_cast<unsigned char>(octets[1]);
    return MailExchanger{static_cast<std::uint16_t>(high << 8U | low), std::move(*host)};
}

std::optional<Record> parse_txt(std::string_view octets) {
    Text text;
    while (!octets.empty()) {
        const std::size_t length = static_cast<unsigned char>(octets.front());
        if (length >= octets.size()) {
            return std::nullopt;
        }
        text.text += octets.substr(1, length);
        octets.remove_prefix(length + 1);
    }
    return text;
}

std::optional<Record> parse_tlsa(std::string_view octets) {
    if (octets.size() < 4) {
        return std::nullopt;  // without data it says nothing of any certificate
    }
    return Tlsa{static_cast<std::uint8_t>(octets[0]), static_cast<std::uint8_t>(octets[1]),
                static_cast<std::uint8_t>(octets[2]), std::string(octets.substr(3))};
}

}  // namespace

std::string_view to_string(RecordType type) {
    switch (type) {
        case RecordType::a:
            return "A";
        case RecordType::cname:
            return "CNAME";
        case RecordType::ptr:
            return "PTR";
        case RecordType::mx:
            return "MX";
        case RecordType::txt:
            return "TXT";
        case RecordType::aaaa:
            return "AAAA";
        case RecordType::tlsa:
            break;
    }
    return "TLSA";
}

std::optional<Record> parse_record(RecordType type, std::string_view octets) {
    switch (type) {
        case RecordType::a:
            return parse_address(AF_INET, 4, octets);
        case RecordType::aaaa:
            return parse_address(AF_INET6, 16, octets);
        case RecordType::mx:
            return parse_mx(octets);
        case RecordType::txt:
            return parse_txt(octets);
        case RecordType::tlsa:
            return parse_tlsa(octets);
        case RecordType::cname:
        case RecordType::ptr:
            break;
    }
    auto name = parse_name(octets);
    if (!name) {
        return std::nullopt;
    }
    return std::move(*name);
}

}  // namespace postern::dns
